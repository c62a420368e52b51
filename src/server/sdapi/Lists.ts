/**
 * The lists of models, samplers, upscalers and styles in the form of the webui.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as os from "node:os"
import { latentUpscaleModes as modes } from "../../images/Resample.ts"
import { Upscalers } from "../../images/Upscalers.ts"
import type { TextEncoder } from "../../model/Conditioner.ts"
import { fits, widthsOf } from "../../model/Embedding.ts"
import { Models } from "../../model/Models.ts"
import type { ModelFile } from "../../models/ModelFile.ts"
import { ModelLibrary } from "../../models/ModelLibrary.ts"
import { Options } from "../../processing/Options.ts"
import { StyleBook } from "../../processing/StyleBook.ts"
import * as Samplers from "../../sampling/Samplers.ts"
import * as Schedules from "../../sampling/Schedules.ts"
import { ModelTitles } from "../host/ModelTitles.ts"
import { Float } from "./PythonJson.ts"

export const models = Effect.fn("sdapi.models")(function*() {
  const { list } = yield* ModelTitles
  return (yield* list).map(({ folder, hash, name, sha256, title }) => ({
    title,
    model_name: name,
    hash: hash ?? null,
    sha256: sha256 ?? null,
    filename: folder,
    config: null
  }))
})

const filesOf = Effect.fnUntraced(function*(kind: ModelFile["kind"]) {
  const { list } = yield* ModelLibrary
  return (yield* list).filter((file) => file.kind === kind && file.problems.length === 0)
})

export const vaes = Effect.fn("sdapi.vaes")(function*() {
  const path = yield* Path.Path
  return (yield* filesOf("vae")).map(({ file }) => ({ model_name: path.basename(file), filename: file }))
})

export const loras = Effect.fn("sdapi.loras")(function*() {
  return (yield* filesOf("lora")).map(({ file, metadata, name }) => ({
    name,
    alias: metadata["ss_output_name"] ?? name,
    path: file,
    metadata: Object.fromEntries(Object.entries(metadata).map(([key, text]) => [key, valueIn(key, text)]))
  }))
})

// The webui shows the objects that trainers write as texts as what they are.
const valueIn = (key: string, text: string): unknown => {
  if (!key.startsWith("ss_") || !/^[{[]/.test(text)) return text
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return text
  }
}

// Euler CFG++ and other samplers that the webui does not have are listed in the same form.
export const samplers = Samplers.all.map(({ aliases, name, options }) => ({ name, aliases, options }))

export const schedulers = Schedules.all.map(({ aliases, defaultRho, label, name, needInnerModel }) => ({
  name,
  label,
  aliases: aliases.length === 0 ? null : aliases,
  default_rho: new Float(defaultRho),
  need_inner_model: needInnerModel
}))

export const upscalers = Effect.fn("sdapi.upscalers")(function*() {
  const { list } = yield* Upscalers
  return (yield* list).map(({ modelName, name, path, scale }) => ({
    name,
    model_name: modelName,
    model_path: path,
    model_url: null,
    scale: new Float(scale)
  }))
})

export const realesrganModels = Effect.fn("sdapi.realesrganModels")(function*() {
  const { list } = yield* Upscalers
  return (yield* list)
    .filter(({ name, path }) => path !== null && /r(?:eal)?-?esrgan/i.test(name))
    .map(({ name, path, scale }) => ({ name, path, scale }))
})

/** Embeddings by whether they fit the model that the settings name. */
export const embeddings = Effect.fn("sdapi.embeddings")(function*() {
  const { embeddings = Effect.succeed([]), load } = yield* Models
  const { sd_model_checkpoint } = yield* (yield* Options).snapshot
  const encoders = yield* load(sd_model_checkpoint).pipe(
    Effect.map(({ textEncoders }): ReadonlyArray<TextEncoder> => textEncoders),
    Effect.orElseSucceed((): ReadonlyArray<TextEncoder> => [])
  )
  const found = (yield* Effect.forEach(yield* embeddings, ({ read }) => Effect.option(read))).flatMap(Option.toArray)
  const about = (isLoaded: boolean) =>
    Object.fromEntries(
      found.filter((each) => fits(each, encoders) === isLoaded).map((each) => [each.name, {
        step: null,
        sd_checkpoint: null,
        sd_checkpoint_name: null,
        shape: widthsOf(each).reduce((sum, width) => sum + width, 0),
        vectors: each.vectors
      }])
    )
  return { loaded: about(true), skipped: about(false) }
}, Effect.scoped)

export const latentUpscaleModes = modes.map(({ name }) => ({ name }))

export const styles = Effect.fn("sdapi.styles")(function*() {
  const { styles } = yield* (yield* StyleBook).read
  return styles.map(({ name, negativePrompt, prompt }) => ({ name, prompt, negative_prompt: negativePrompt }))
})

export const memory = Effect.sync(() => {
  const total = os.totalmem()
  const used = process.memoryUsage.rss()
  return {
    ram: { free: new Float(Math.max(0, total - used)), used: new Float(used), total: new Float(total) },
    cuda: { error: "unavailable" }
  }
})
