// resident.mts
import { Console, Effect } from "effect"
import { ModelProvider, processImages, Serena, Txt2Img } from "serena-runtime"

const generate = (model: string) =>
  processImages(Txt2Img.make({
    prompt: "a blue heart",
    seed: 1,
    steps: 2,
    override_settings: { sd_model_checkpoint: model }
  }))

const program = Effect.gen(function*() {
  const { list, resident, unload } = yield* ModelProvider
  const logResident = Effect.flatMap(resident, (names) => Console.log(`in memory: ${names.join(", ") || "none"}`))
  for (const { embedded, name } of yield* list) yield* Console.log(`${name}${embedded ? ", embedded" : ""}`)
  for (const model of ["one", "two", "shapes-128"]) {
    yield* generate(model)
    yield* logResident
  }
  yield* unload
  yield* logResident
})

const layer = Serena.layer({ cmdOpts: { modelsDir: "models", maxModels: 2 }, options: { samples_save: false } })
await Effect.runPromise(Effect.provide(program, layer))
