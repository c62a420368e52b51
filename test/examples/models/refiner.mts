// refiner.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const { images } = yield* processImages(Txt2Img.make({
    prompt: "a blue heart",
    seed: 1,
    steps: 8,
    refiner_checkpoint: "two",
    refiner_switch_at: 0.5,
    override_settings: { sd_model_checkpoint: "one" }
  }))
  for (const { infotext } of images) yield* Console.log(/Refiner: .*(?=, Version)/.exec(infotext)?.[0])
})

const layer = Serena.layer({ cmdOpts: { modelsDir: "models", lowvram: true }, options: { samples_save: false } })
await Effect.runPromise(Effect.provide(program, layer))
