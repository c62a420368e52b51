// worker.mts
import { NodeRuntime, NodeStdio } from "@effect/platform-node"
import { Cause, Console, Effect, Exit, Layer, Queue } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"
import { Progress } from "serena-runtime/instrumentation"
import { gracefully } from "./gracefully.mts"

const handle = Effect.fnUntraced(
  function*(processing: Txt2Img) {
    const { images } = yield* processImages(processing)
    yield* Console.log(`saved ${images.length} images`)
  },
  Effect.catch((error) => Effect.logError(error.message))
)

const program = Effect.gen(function*() {
  const requests = yield* Queue.unbounded<Txt2Img>()
  const rings = Txt2Img.make({ prompt: "a purple ring", steps: 50, n_iter: 50 })
  yield* Queue.offerAll(requests, [rings, rings])
  return yield* Queue.take(requests).pipe(
    Effect.flatMap((processing) => gracefully("10 seconds")(handle(processing))),
    Effect.forever
  )
})

const layer = Serena.layer({
  options: { save_incomplete_images: true },
  hooks: Progress.layer().pipe(Layer.provide(NodeStdio.layer))
})

NodeRuntime.runMain(Effect.provide(program, layer), {
  teardown: (exit, end) => end(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
