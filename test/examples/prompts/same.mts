// same.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const pixels = (prompt: string) =>
  Effect.map(
    processImages(Txt2Img.make({ prompt, seed: 1, steps: 4 })),
    ({ images: [image] }) => Buffer.from(image?.pixels ?? [])
  )

const pairs = [
  ["a (yellow:1) star", "a yellow star"],
  ["a (yellow:1.6) star", "a yellow star"],
  ["[a red circle:a yellow star:0]", "a yellow star"],
  ["[a red circle:a yellow star:3]", "a yellow star"],
  ["a yellow star # and no more", "a yellow star"]
] as const

const program = Effect.forEach(pairs, ([one, other]) =>
  Effect.gen(function*() {
    const isSame = (yield* pixels(one)).equals(yield* pixels(other))
    yield* Console.log(`${one}: ${isSame ? "the same" : "a different"} image`)
  }))

await Effect.runPromise(Effect.provide(program, Serena.layer({ options: { samples_save: false } })))
