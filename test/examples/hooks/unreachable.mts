// A chat at an address where no server listens.
import { NodeHttpClient } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { processImages, RunnerHooks, Serena, Txt2Img } from "serena-runtime"
import { makeNotifier } from "./notifier.mts"

const hooks = RunnerHooks.layerEffect(Effect.all([makeNotifier("http://127.0.0.1:1/")])).pipe(
  Layer.provide(NodeHttpClient.layerUndici)
)
const { images } = await Effect.runPromise(
  processImages(Txt2Img.make({ prompt: "a heart", steps: 1 })).pipe(Effect.provide(Serena.layer({ hooks })))
)
Effect.runSync(Console.log(`images: ${images.length}`))
