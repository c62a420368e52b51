/**
 * Makes the picture in the README: `node test/docs/contactSheet.ts`.
 *
 * Its twelve pictures are made by the embedded model, from seed 0, with nothing picked by hand.
 */
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import sharp from "sharp"
import { processImages, Serena, Txt2Img } from "../../src/index.ts"

const prompts = [
  "a red circle on a blue background",
  "a large yellow star on a black background",
  "a pink heart on a cyan background",
  "a white ring on a green background",
  "an orange diamond on a purple background",
  "a black cross on a yellow background",
  "a white star above a pink heart on a black background",
  "a yellow square on the left on a red background",
  "a cyan circle at the bottom on a pink background",
  "a red circle and a blue triangle on a white background",
  "a huge green ring on a pink background",
  "an orange circle to the left of a cyan diamond on a green background"
]
const columns = 6
const gap = 8
const side = 128

const pictures = await Effect.runPromise(
  Effect.forEach(prompts, (prompt) => processImages(Txt2Img.make({ prompt, seed: 0, steps: 25, cfg_scale: 4 }))).pipe(
    Effect.provide(Serena.layer({ options: { samples_save: false } }))
  )
)

await sharp({
  create: {
    width: columns * (side + gap) - gap,
    height: Math.ceil(prompts.length / columns) * (side + gap) - gap,
    channels: 4,
    background: { r: 0, g: 0, b: 0, alpha: 0 }
  }
})
  .composite(
    pictures.flatMap(({ images }) => images).map(({ bytes }, i) => ({
      input: Buffer.from(bytes),
      left: (i % columns) * (side + gap),
      top: Math.floor(i / columns) * (side + gap)
    }))
  )
  .png({ palette: true, quality: 95, effort: 10 })
  .toFile(fileURLToPath(new URL("../../docs/images/shapes.png", import.meta.url)))
