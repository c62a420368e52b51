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
import { compared, figure, type Row } from "./report.ts"

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
    return times
  } finally {
    await runtime.dispose()
  }
}

const name = "100 slow subscribers to the progress"

/** A run of the embedded model, and what they add to one of the arithmetic model. */
export const slowReaders = async (): Promise<ReadonlyArray<Row>> => {
  const run = await inTurn(ManagedRuntime.make(Serena.layer()), 20, 128)
  const small = await inTurn(ManagedRuntime.make(TestRuntime.layer()), 200, 8)
  return [
    compared(`a run with ${name}`, "ms", run.hundred, "without", run.none),
    figure(`added to any run by ${name}`, "us", small.hundred.map((time, i) => (time - (small.none[i] ?? NaN)) * 1000))
  ]
}
