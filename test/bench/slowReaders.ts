/**
 * What a hundred slow readers of a run's progress cost it: runs with and without them, in turn.
 */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import * as Progress from "../../src/instrumentation/Progress.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { median } from "./median.ts"

const rounds = 15
const processing = Txt2Img.make({
  prompt: "a red circle",
  seed: 1,
  steps: 20,
  override_settings: { samples_save: false }
})

const run = Effect.fnUntraced(function*(runId: string, readers: number) {
  for (let reader = 0; reader < readers; reader++) {
    yield* Progress.stream(runId).pipe(
      Stream.runForEach(() => Effect.sleep("1 second")),
      Effect.forkScoped({ startImmediately: true })
    )
  }
  const begun = performance.now()
  yield* processImages(processing, { runId })
  return performance.now() - begun
}, Effect.scoped)

/** Medians in milliseconds, and of the ratios of neighbours. */
export const slowReaders = async () => {
  const runtime = ManagedRuntime.make(Serena.layer())
  try {
    await runtime.runPromise(run("warm", 0))
    const times = { none: Array<number>(), hundred: Array<number>() }
    const ratios = Array<number>()
    for (let round = 0; round < rounds; round++) {
      const before = await runtime.runPromise(run(`before ${round}`, 0))
      const read = await runtime.runPromise(run(`read ${round}`, 100))
      const after = await runtime.runPromise(run(`after ${round}`, 0))
      times.none.push(before, after)
      times.hundred.push(read)
      ratios.push(read / ((before + after) / 2))
    }
    return { none: median(times.none), hundred: median(times.hundred), ratio: median(ratios) }
  } finally {
    await runtime.dispose()
  }
}
