// together.mts
import { NodeHttpClient } from "@effect/platform-node"
import { Console, Effect, Layer, Metric } from "effect"
import { processImages, RunnerHooks, Serena, Txt2Img } from "serena-runtime"
import { makeAudit } from "./audit.mts"
import { chat } from "./chat.mts"
import { makeNotifier } from "./notifier.mts"
import { unmarked, watermark } from "./watermark.mts"

const hooks = (url: string) =>
  RunnerHooks.layerEffect(Effect.all([Effect.succeed(watermark), makeAudit("audit.jsonl"), makeNotifier(url)])).pipe(
    Layer.provide(NodeHttpClient.layerUndici)
  )

const program = Effect.gen(function*() {
  const star = Txt2Img.make({ prompt: "a yellow star on a black background", seed: 1, steps: 10, cfg_scale: 4 })
  yield* processImages(star)
  yield* processImages({ ...star, prompt: "a red circle on a white background" })
  yield* Effect.ignore(processImages({ ...star, sampler_name: "Yuler" }))
  yield* Console.log(`without a watermark: ${(yield* Metric.value(unmarked)).count}`)
})

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const url = yield* chat
  yield* Effect.provide(program, Serena.layer({ hooks: hooks(url) }))
})))
