// inpaint.mts
import { Console, Effect } from "effect"
import { readFile } from "node:fs/promises"
import { Img2Img, processImages, Serena } from "serena-runtime"

const program = Effect.gen(function*() {
  const [pair, mask] = yield* Effect.promise(() => Promise.all(["pair.png", "mask.bmp"].map((file) => readFile(file))))
  if (pair === undefined || mask === undefined) return
  const { extraImages, images } = yield* processImages(Img2Img.make({
    init_images: [pair],
    mask,
    prompt: "a yellow ring above a pink heart on a black background",
    denoising_strength: 1,
    inpaint_full_res: false,
    seed: 1,
    override_settings: { return_mask: true }
  }))
  for (const { height, width } of images) yield* Console.log(`${width}x${height}`)
  for (const { format, kind } of extraImages) yield* Console.log(`extra image: ${kind}, ${format}`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ options: { samples_save: false } })))
