// script.mts
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const [, , prompt = "a red circle"] = process.argv
  const { images } = yield* processImages(Txt2Img.make({ prompt, seed: 1, steps: 5 }))
  for (const { path } of images) yield* Console.log(path)
})

NodeRuntime.runMain(Effect.provide(program, Serena.layer()))
