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
  const watcher = yield* Effect.forkChild(Stream.runForEach(watch(runId), report))
  const { images } = yield* processImages(Txt2Img.make({ prompt: "a purple triangle" }), { runId })
  yield* Fiber.join(watcher)
  yield* Console.log(`${images.length} image`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer()))
