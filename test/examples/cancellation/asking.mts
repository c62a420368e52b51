// asking.mts
import { Console, Effect, Fiber, Option, Stream } from "effect"
import { processImages, Runs, type RunState, Serena, Txt2Img } from "serena-runtime"

// Starts a run of three batches and ends it early, during the second batch.
const endEarly = Effect.fnUntraced(function*(end: (run: RunState.RunState) => Effect.Effect<void>) {
  const { get, watch } = yield* Runs
  const runId = crypto.randomUUID()
  const star = Txt2Img.make({ prompt: "a white star", steps: 20, n_iter: 3 })
  const fiber = yield* Effect.forkChild(processImages(star, { runId }))
  yield* watch(runId).pipe(
    Stream.takeUntil(({ passesDone, samplingStep }) => passesDone === 1 && samplingStep > 0),
    Stream.runDrain
  )
  const run = yield* get(runId)
  if (Option.isSome(run)) yield* end(run.value)
  const { images } = yield* Fiber.join(fiber)
  return images.map(({ complete }) => complete ? "complete" : "unfinished").join(", ")
})

const program = Effect.gen(function*() {
  yield* Console.log(`interrupt: ${yield* endEarly((run) => run.interrupt)}`)
  yield* Console.log(`skip: ${yield* endEarly((run) => run.skip)}`)
  yield* Console.log(`stop: ${yield* endEarly((run) => run.stop)}`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer()))
