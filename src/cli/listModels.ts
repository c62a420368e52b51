/**
 * `serena models`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { ModelProvider } from "../models/ModelProvider.ts"
import * as Serena from "../Serena.ts"

/** Prints name and folder of each model, or a line of JSON. */
export const listModels = Effect.fn("listModels")(
  function*(options: { readonly modelsDir: Option.Option<string>; readonly json: boolean }) {
    const { list } = yield* ModelProvider
    for (const { embedded, folder, name } of yield* list) {
      yield* Console.log(
        options.json
          ? JSON.stringify({ name, folder, embedded })
          : `${name}  ${folder}${embedded ? "  (embedded)" : ""}`
      )
    }
  },
  (effect, { modelsDir }) =>
    Effect.provide(effect, Serena.layer({ cmdOpts: { modelsDir: Option.getOrUndefined(modelsDir) } }))
)
