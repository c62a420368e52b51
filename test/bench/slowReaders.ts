/**
 * What a hundred slow readers of a run's progress cost it: runs with and without them, in turn.
 *
 * Whole runs vary more from one to the next than readers add to them. So the same is done with a model that is almost
 * no work: what comes on top there comes on top of any run of these steps.
 */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import * as Progress from "../../src/instrumentation/Progress.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import type { Runs } from "../../src/runner/Runs.ts"
import * as Serena from "../../src/Serena.ts"
import * as TestRuntime from "../../src/testing/TestRuntime.ts"
import { median } from "./median.ts"

const request = (size: number) =>
  Txt2Img.make({
    prompt: "a red circle",
    seed: 1,
    steps: 20,
    width: size,
    height: size,
    override_settings: { samples_save: false }
  })

const run = Effect.fnUntraced(function*(runId: string, readers: number, size: number) {
  for (let reader = 0; reader < readers; reader++) {
    yield* Progress.stream(runId).pipe(
      Stream.runForEach(() => Effect.sleep("1 second")),
      Effect.forkScoped({ startImmediately: true })
    )
  }
  const begun = performance.now()
  yield* processImages(request(size), { runId })
  return performance.now() - begun
}, Effect.scoped)

const inTurn = async (
  runtime: ManagedRuntime.ManagedRuntime<Runs | Effect.Services<ReturnType<typeof run>>, never>,
  rounds: number,
  size: number
) => {
  try {
    await runtime.runPromise(run("warm", 0, size))
    const times = { none: Array<number>(), hundred: Array<number>() }
    for (let round = 0; round < rounds; round++) {
      times.none.push(await runtime.runPromise(run(`alone ${round}`, 0, size)))
      times.hundred.push(await runtime.runPromise(run(`read ${round}`, 100, size)))
    }
    return { none: median(times.none), hundred: median(times.hundred) }
  } finally {
    await runtime.dispose()
  }
}

/** Medians in milliseconds: `run` of the embedded model, `small` of the arithmetic one. */
export const slowReaders = async () => ({
  run: await inTurn(ManagedRuntime.make(Serena.layer()), 20, 128),
  small: await inTurn(ManagedRuntime.make(TestRuntime.layer()), 200, 8)
})
