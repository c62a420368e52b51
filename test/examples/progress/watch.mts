// watch.mts
import { Clock, Console, Effect, Fiber, Stream } from "effect"
import { processImages, Runs, RunState, Serena, Txt2Img } from "serena-runtime"

const report = Effect.fnUntraced(function*(progress: RunState.RunProgress) {
  const percent = Math.round(RunState.fraction(progress) * 100)
  const seconds = RunState.eta(progress, yield* Clock.currentTimeMillis)
  yield* Console.log(`${progress.activity}: ${percent} %, ${seconds.toFixed(1)} s left`)
})

const program = Effect.gen(function*() {
  const { watch } = yield* Runs
  const runId = crypto.randomUUID()
  const run = yield* Effect.forkChild(processImages(Txt2Img.make({ prompt: "a purple triangle" }), { runId }))
  yield* watch(runId).pipe(Stream.interruptWhen(Fiber.await(run)), Stream.runForEach(report))
  const { images } = yield* Fiber.join(run)
  yield* Console.log(`${images.length} image`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer()))
