// upscale.mts
import { Console, Effect } from "effect"
import { processImages, type Raster, Serena, Txt2Img, Upscalers } from "serena-runtime"

const program = Effect.gen(function*() {
  const { list, scaleBy } = yield* Upscalers
  for (const { name } of yield* list) yield* Console.log(name)
  const { images } = yield* processImages(Txt2Img.make({ prompt: "a pink heart", seed: 1, steps: 5 }))
  for (const { height, pixels, width } of images) {
    const heart: Raster = { width, height, channels: 3, data: pixels }
    const large = yield* scaleBy("Lanczos", heart, 2.5)
    yield* Console.log(`${large.width}x${large.height}`)
  }
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ options: { samples_save: false } })))
