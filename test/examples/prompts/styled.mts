// styled.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const request = Txt2Img.make({ prompt: "star", styles: ["flag", "poster"], seed: 1, steps: 5 })
  const { images, warnings } = yield* processImages(request)
  for (const { negativePrompt, prompt } of images) {
    yield* Console.log(`prompt: ${prompt}; negative prompt: ${negativePrompt}`)
  }
  for (const warning of warnings) yield* Console.log(warning)
})

const layer = Serena.layer({ cmdOpts: { stylesFile: "styles.csv" }, options: { samples_save: false } })
await Effect.runPromise(Effect.provide(program, layer))
