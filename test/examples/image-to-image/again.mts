// again.mts
import { Console, Effect } from "effect"
import { Img2Img, processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const { images: circles } = yield* processImages(
    Txt2Img.make({ prompt: "a red circle on a blue background", seed: 1, steps: 10, batch_size: 2 })
  )
  const [first, second] = circles
  if (first === undefined || second === undefined) return
  const { images: stars } = yield* processImages(Img2Img.make({
    init_images: [first.bytes, second.bytes],
    prompt: "a yellow star on a blue background",
    denoising_strength: 0.5,
    seed: 2,
    batch_size: 2
  }))
  for (const { height, seed, width } of stars) yield* Console.log(`${width}x${height}, seed ${seed}`)
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ options: { samples_save: false } })))
