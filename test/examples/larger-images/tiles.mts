// tiles.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const texture = Txt2Img.make({ prompt: "a green ring", seed: 2, steps: 2, width: 320, height: 192, tiling: true })
  const { images } = yield* processImages({
    ...texture,
    override_settings: { latent_tile_size: 128, latent_tile_overlap: 64, vae_tile_threshold: 192 }
  })
  for (const { height, width } of images) yield* Console.log(`${width}x${height}`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ options: { samples_save: false } })))
