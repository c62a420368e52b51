// second.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const { images, state } = yield* processImages(Txt2Img.make({
    prompt: "a red circle on a blue background",
    seed: 1,
    steps: 8,
    enable_hr: true,
    hr_resize_x: 256,
    hr_upscaler: "Lanczos",
    hr_second_pass_steps: 4,
    denoising_strength: 0.4,
    override_settings: { save_images_before_highres_fix: true }
  }))
  yield* Console.log(`${state.width}x${state.height}, then ${state.hires?.width}x${state.hires?.height}`)
  for (const { extras, height, width } of images) {
    for (const { kind, raster } of extras) yield* Console.log(`${kind}: ${raster.width}x${raster.height}`)
    yield* Console.log(`final: ${width}x${height}`)
  }
})

await Effect.runPromise(Effect.provide(program, Serena.layer()))
