// timeout.mts
import { Console, Effect } from "effect"
import { processImages, RunnerHooks, Serena, Txt2Img } from "serena-runtime"
import { Cancellation } from "serena-runtime/instrumentation"

const hooks = RunnerHooks.layer(Cancellation.timeout("1 second", { mode: "keep" }))

const program = Effect.gen(function*() {
  const { images, interrupted } = yield* processImages(Txt2Img.make({ prompt: "a star", steps: 150, n_iter: 50 }))
  yield* Console.log(`interrupted: ${interrupted}, less than 50: ${images.length < 50}`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ hooks })))
