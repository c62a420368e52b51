// interruption.mts
import { Console, Effect, Fiber, Option, Stream } from "effect"
import { processImages, Runs, Serena, Txt2Img } from "serena-runtime"

const long = Txt2Img.make({ prompt: "a white star", steps: 150, n_iter: 20 })

const program = Effect.gen(function*() {
  const late = yield* Effect.timeoutOption(processImages(long), "500 millis")
  yield* Console.log(Option.isNone(late) ? "too late" : "in time")

  const { list, watch } = yield* Runs
  const fiber = yield* Effect.forkChild(processImages(long, { runId: "second" }))
  yield* watch("second").pipe(Stream.takeUntil(({ samplingStep }) => samplingStep > 0), Stream.runDrain)
  yield* Fiber.interrupt(fiber)
  yield* Console.log(`runs: ${(yield* list).length}`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer()))
