// client.mts
import { Console, Effect } from "effect"
import { writeFile } from "node:fs/promises"
import { Client, Txt2Img } from "serena-runtime/client"

const program = Effect.gen(function*() {
  const client = yield* Client.make({ url: process.env["SERENA_URL"] ?? "http://127.0.0.1:7860" })
  const request = Txt2Img.make({ prompt: "a red circle", seed: 1, steps: 8, batch_size: 2 })
  const { id, images } = yield* client.generate(request, {
    onEvent: (event) => event._tag === "Step" ? Console.error(`step ${event.progress.step}`) : Effect.void
  })
  for (const { height, index, seed, width } of images) {
    const bytes = yield* client.image(id, index)
    yield* Effect.promise(() => writeFile(`circle-${seed}.png`, bytes))
    yield* Console.log(`circle-${seed}.png: ${width}x${height}`)
  }
})

await Effect.runPromise(program)
