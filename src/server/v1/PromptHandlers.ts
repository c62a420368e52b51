/**
 * The handlers of `/v1` for what helps to write a prompt.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Api } from "../../contract/Api.ts"
import type { TokenCounts, TokenRequest } from "../../contract/Prompts.ts"
import * as planned from "../../planning/countTokens.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { InvalidProcessing } from "../../processing/InvalidProcessing.ts"
import * as Processing from "../../processing/Processing.ts"
import { StyleBook } from "../../processing/StyleBook.ts"
import { isPath, notPath } from "../../runner/RuntimeContext.ts"
import { Presets } from "../host/Presets.ts"
import { suggest } from "./suggest.ts"

const modelPath = "override_settings.sd_model_checkpoint"

const countTokens = Effect.fn("v1.countTokens")(
  function*({ model, ...fields }: TokenRequest) {
    const { limits } = yield* CommandOptions
    if (model !== undefined && isPath(model)) return yield* notPath(modelPath)
    const processing = yield* Processing.decode({
      _tag: "Txt2Img",
      ...fields,
      ...(model !== undefined && { override_settings: { sd_model_checkpoint: model } })
    }, limits)
    const { model: { name }, negativePrompt, prompt } = yield* planned.countTokens(processing)
    return { model: name, prompt, negative_prompt: negativePrompt } satisfies TokenCounts
  },
  Effect.scoped,
  Effect.catchIf(
    (error) => error._tag !== "InvalidProcessing" && error._tag !== "ModelNotFound",
    // A model that does not load, or settings that do not fit it.
    ({ message }) => Effect.fail(new InvalidProcessing({ problems: [{ path: modelPath, message }] }))
  )
)

export const layerPrompts = HttpApiBuilder.group(
  Api,
  "prompts",
  Effect.fnUntraced(function*(handlers) {
    const presets = yield* Presets
    const styles = yield* StyleBook
    return handlers
      .handle("countTokens", ({ payload }) => countTokens(payload))
      .handle("suggestions", ({ query }) => suggest(query))
      .handle("saveStyle", ({ payload }) =>
        Effect.as(
          styles.change(payload.name, { prompt: payload.prompt, negativePrompt: payload.negative_prompt }),
          payload
        ))
      .handle("removeStyle", ({ payload: { name } }) =>
        Effect.gen(function*() {
          const found = (yield* styles.read).byName.get(name)
          if (found === undefined) return []
          yield* styles.change(name)
          return [{ name, prompt: found.prompt, negative_prompt: found.negativePrompt }]
        }))
      .handle("presets", () => presets.list)
      .handle("savePreset", ({ payload }) => presets.save(payload))
      .handle("removePreset", ({ payload: { name } }) => presets.remove(name))
  })
)
