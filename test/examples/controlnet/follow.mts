// follow.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const shape = Txt2Img.make({
  prompt: "a yellow circle on a black background",
  seed: 1,
  steps: 8,
  override_settings: { sd_model_checkpoint: "shapes-128" }
})

const program = Effect.gen(function*() {
  const { images: [circle] } = yield* processImages(shape)
  const following = Effect.fn("following")(function*(weight: number) {
    const { images: [made] } = yield* processImages(Txt2Img.make({
      prompt: "a marble statue",
      seed: 1,
      steps: 2,
      width: 64,
      height: 64,
      control_units: [{ image: circle?.bytes, module: "canny", model: "edges", weight }]
    }))
    return { pixels: Buffer.from(made?.pixels ?? []), infotext: made?.infotext ?? "" }
  })

  const plain = yield* following(0)
  for (const weight of [0, 0.5, 1]) {
    const { infotext, pixels } = yield* following(weight)
    yield* Console.log(`weight ${weight}: ${pixels.equals(plain.pixels) ? "the same" : "a different"} image`)
    yield* Console.log(/ControlNet 0: "Module: \w+, Model: \w+/.exec(infotext)?.[0] ?? "no ControlNet")
  }
})

const options = { samples_save: false, sd_model_checkpoint: "sd1-full-vocabulary" }
await Effect.runPromise(Effect.provide(program, Serena.layer({ options, cmdOpts: { modelsDir: "models" } })))
