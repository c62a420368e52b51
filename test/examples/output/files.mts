// files.mts
import { Console, Effect } from "effect"
import { relative } from "node:path"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const { extraImages, images } = yield* processImages(
    Txt2Img.make({ prompt: "a green star", seed: 7, steps: 5, batch_size: 2 })
  )
  for (const { path = "" } of images) yield* Console.log(relative(".", path))
  for (const { kind, path = "" } of extraImages) yield* Console.log(`${kind}: ${relative(".", path)}`)
})

const layer = Serena.layer({
  options: {
    outdir_samples: "stars",
    outdir_grids: "stars",
    samples_format: "webp",
    samples_filename_pattern: "[prompt]-[seed]",
    directories_filename_pattern: "[model_name]",
    save_images_add_number: false,
    grid_save: true,
    return_grid: true
  }
})
await Effect.runPromise(Effect.provide(program, layer))
