// again.mts
import { Console, Effect } from "effect"
import { Metadata, processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const { images: [made] } = yield* processImages(Txt2Img.make({ prompt: "a purple diamond", steps: 5 }))
  if (made === undefined) return
  const { infotext = "" } = yield* Metadata.readMetadata(made.bytes)
  const { images: [again] } = yield* processImages(yield* Txt2Img.fromInfotext(infotext))
  yield* Console.log(`the same file: ${Buffer.from(made.bytes).equals(again?.bytes ?? new Uint8Array())}`)
  const { images: [other] } = yield* processImages(yield* Txt2Img.fromInfotext(infotext, { steps: 6 }))
  yield* Console.log(
    `the same file with one more step: ${Buffer.from(made.bytes).equals(other?.bytes ?? new Uint8Array())}`
  )
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ options: { samples_save: false } })))
