// strengths.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const pixels = Effect.fn("pixels")(function*(prompt: string) {
  const request = Txt2Img.make({ prompt, seed: 1, steps: 1, width: 64, height: 64 })
  const { images: [image], warnings } = yield* processImages(request)
  for (const warning of warnings) yield* Console.log(warning)
  return Buffer.from(image?.pixels ?? [])
})

const program = Effect.gen(function*() {
  const plain = yield* pixels("a cat")
  for (const tag of ["<lora:style:0>", "<lora:style:0.8>", "<lora:Fine Style:te=0:unet=1>", "<lora:gold:1>"]) {
    const isSame = plain.equals(yield* pixels(`a cat${tag}`))
    yield* Console.log(`${tag}: ${isSame ? "the same" : "a different"} image`)
  }
})

const options = { samples_save: false, sd_model_checkpoint: "sd1-full-vocabulary" }
await Effect.runPromise(Effect.provide(program, Serena.layer({ options, cmdOpts: { modelsDir: "models" } })))
