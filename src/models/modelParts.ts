/**
 * The files that a checkpoint is made of next to its own: a VAE and text encoders, which settings choose, or a file
 * that is named like the checkpoint.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type { Family } from "../families/Family.ts"
import { InvalidModelFile, ModelNotFound } from "../model/ModelError.ts"
import type { ModelSettings } from "../processing/OptionsSnapshot.ts"
import type { Checkpoint } from "./Checkpoint.ts"
import { type Contents, contentsOf, kinds, type Part } from "./checkpoint/contents.ts"
import { filesOfFolder, join } from "./checkpoint/sources.ts"
import type { StoredTensor, WeightSource } from "./checkpoint/WeightSource.ts"
import { familyNamed } from "./families.ts"
import { fitting } from "./fitting.ts"
import { readText } from "./folderFiles.ts"
import { Weights } from "./graph/Weights.ts"
import { type ModelFile, open } from "./ModelFile.ts"
import type { ModelLibrary } from "./ModelLibrary.ts"
import { autoencoderShape } from "./networks/autoencoderKl.ts"
import { clipTextShape } from "./networks/clipText.ts"
import { unetShape } from "./networks/unetShape.ts"

/** What a model is made of, and how it is read. */
export interface ModelParts {
  /** Its own file or folder. */
  readonly place: string
  /** The file of its VAE; undefined for its own. */
  readonly vae: string | undefined
  /** Files from which it takes text encoders that it lacks. */
  readonly textEncoders: ReadonlyArray<string>
  /** What its network predicts; undefined for what its files say. */
  readonly prediction: "epsilon" | "v_prediction" | undefined
  /** Whether its denoising network computes in int8. */
  readonly int8: boolean
}

type Services = FileSystem.FileSystem | Path.Path

/**
 * What a model of these parts is kept under: their paths, the model's own first, and their files as they are now. A
 * checkpoint that was replaced by another file is another model.
 */
export const keyOf = Effect.fnUntraced(function*(
  { int8, place, prediction, textEncoders, vae }: ModelParts
): Effect.fn.Return<string, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const files = [place, ...(yield* filesOfFolder(place)).values(), vae, ...textEncoders]
  const stamps = yield* Effect.forEach(
    files,
    (file) =>
      file === undefined ? Effect.succeed("") : Effect.match(fs.stat(file), {
        onFailure: () => file,
        // A folder changes whenever anything else in it does.
        onSuccess: ({ mtime, size, type }) =>
          type === "File" ? `${file} ${size} ${Option.getOrUndefined(mtime)?.getTime()}` : file
      })
  )
  return [place, prediction, int8 ? "int8" : "", ...stamps].join("\n")
})

/** What a part is called, and the kinds of the files that have it; those that have nothing else come first. */
const vaes = { called: "VAE", setting: "sd_vae", kinds: ["vae", "checkpoint"] } as const
const texts = { called: "text encoder", setting: "sd_text_encoders", kinds: ["text-encoder", "checkpoint"] } as const
type PartKind = typeof vaes | typeof texts

/**
 * The files that the settings choose for the model at a place, among those of the library. Fails for a name that no
 * file has, and for a file that has no such part.
 */
export const choose = Effect.fnUntraced(function*(
  place: string,
  settings: ModelSettings,
  library: Pick<ModelLibrary["Service"], "find" | "folders" | "list">
): Effect.fn.Return<ModelParts, InvalidModelFile | ModelNotFound, Services> {
  const { sd_prediction_type, sd_text_encoders, sd_vae, sd_vae_overrides_per_model_preferences, unet_precision } =
    settings
  const named = Effect.fnUntraced(function*(part: PartKind, name: string) {
    const files = (yield* library.list).filter(({ format }) => format === "file")
    const [own, donor] = part.kinds
    const found = (yield* library.find([own], name)) ?? (yield* library.find([donor], name)) ??
      (yield* library.find(kinds, name))
    if (found === undefined) {
      const known = files.filter(({ kind }) => kind === own).map((file) => file.name)
      return yield* new ModelNotFound({ model: name, what: part.called, searched: yield* library.folders, known })
    }
    const hasPart = found.format === "file" && part.kinds.some((kind) => kind === found.kind)
    if (hasPart && found.problems.length === 0) return found.file
    const problems = found.problems.length > 0
      ? found.problems
      : [{ path: "", message: `it has no ${part.called}, but is a file of the kind "${found.kind}"` }]
    return yield* new InvalidModelFile({ file: found.file, problems, remedy: another(part) })
  })
  const vaeOf = Effect.fnUntraced(function*(name: string) {
    return isWord(name, "None") ? undefined : yield* named(vaes, name)
  })

  const isAutomatic = sd_vae.trim() === "" || isWord(sd_vae, "Automatic")
  const overrides = !isAutomatic && sd_vae_overrides_per_model_preferences
  const preferred = overrides ? undefined : yield* preferredVae(place)
  const near = overrides || preferred !== undefined ? undefined : yield* vaeNamedLike(place, library.list)
  return {
    place,
    vae: preferred !== undefined
      ? yield* vaeOf(preferred)
      : near ?? (isAutomatic ? undefined : yield* vaeOf(sd_vae)),
    textEncoders: yield* Effect.forEach(
      sd_text_encoders.split(",").map((name) => name.trim()).filter((name) => name !== ""),
      (name) => named(texts, name)
    ),
    prediction: sd_prediction_type === "Automatic" ? undefined : sd_prediction_type,
    int8: unet_precision === "int8"
  }
})

const another = ({ called, setting }: PartKind): string => `Name another ${called} with the setting ${setting}.`

const isWord = (name: string, word: string): boolean => name.trim().toLowerCase() === word.toLowerCase()

// What the webui saves of a checkpoint in a file next to it.
const Metadata = Schema.fromJsonString(Schema.Struct({ vae: Schema.optional(Schema.NullOr(Schema.String)) }))

const preferredVae = Effect.fnUntraced(function*(place: string) {
  const path = yield* Path.Path
  const { dir, name } = path.parse(place)
  const text = yield* Effect.option(readText(path.join(dir, `${name}.json`)))
  if (Option.isNone(text)) return undefined
  const said = yield* Effect.option(Schema.decodeEffect(Metadata)(text.value))
  const vae = Option.getOrUndefined(said)?.vae ?? ""
  return vae === "" || isWord(vae, "Automatic") ? undefined : vae
})

/** Endings of a VAE that lies next to a checkpoint and is used with it, as the webui has it. */
const vaeEndings = [".vae.safetensors", ".vae.pt", ".vae.ckpt"]

// The VAE of a checkpoint's name: next to it, or anywhere in the library.
const vaeNamedLike = Effect.fnUntraced(function*(
  place: string,
  library: Effect.Effect<ReadonlyArray<ModelFile>>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { base, dir, name } = path.parse(place)
  const own = /\.(safetensors|ckpt|pt|bin)$/i.test(base) ? name : base
  const exists = (file: string) => Effect.orElseSucceed(fs.exists(file), () => false)
  const [next] = yield* Effect.filter(vaeEndings.map((ending) => path.join(dir, own + ending)), exists, {
    concurrency: "unbounded"
  })
  const isLike = (file: ModelFile) =>
    file.kind === "vae" && file.problems.length === 0 &&
    [`${own}.vae`, own].some((wanted) => wanted.toLowerCase() === file.name.toLowerCase())
  return next ?? (yield* library).find(isLike)?.file
})

/**
 * A checkpoint with the chosen parts in place of its own, and in place of those it lacks. Fails where one is still
 * missing, naming it and the files of the library that would fit.
 */
export const assemble = Effect.fnUntraced(function*(
  own: Checkpoint,
  { prediction, textEncoders, vae }: Omit<ModelParts, "int8" | "place">,
  library: Effect.Effect<ReadonlyArray<ModelFile>>
): Effect.fn.Return<Checkpoint, InvalidModelFile, Services> {
  const path = yield* Path.Path
  const contents = contentsOf(own.source.tensors)
  const { family: familyName, parts } = contents
  if (contents.problem !== undefined || familyName === undefined) return own
  const family = familyNamed(familyName)
  const missing = Effect.fnUntraced(function*(part: PartKind, fits: (file: ModelFile) => boolean, also = "") {
    const fitting = (yield* library).filter((file) =>
      file.format === "file" && file.problems.length === 0 && file.kind === part.kinds[0] && fits(file)
    )
    const names = fitting.map(({ file }) => path.basename(file)).toSorted()
    const remedy = names.length === 0
      ? `Put one into a models folder, and name it with the setting ${part.setting}: there is none.`
      : `Name one with the setting ${part.setting}: the models folders have ${names.join(", ")}.`
    const message = `it has no ${part.called}${also}`
    return yield* new InvalidModelFile({ file: own.file, problems: [{ path: "", message }], remedy })
  })

  const hasVae = parts.some(({ network }) => network === "vae")
  if (vae === undefined && !hasVae) return yield* missing(vaes, () => true)
  const withVae = vae === undefined
    ? own.source
    : exchanged(own.source, parts, yield* vaeFrom(vae, family))

  const ownTexts = parts.filter(isText)
  const lacks = ownTexts.length < family.textEncoders.length
  const added = lacks ? yield* textsFor(own, contents, family, textEncoders) : []
  if (added === undefined) {
    const context = `, and it reads text of ${contextOf(own, contents)} numbers`
    return yield* missing(texts, () => true, context)
  }
  return {
    ...own,
    source: added.length === 0 ? withVae : join([
      { ...withVae, tensors: without(withVae, ownTexts) },
      ...added.map((source, place) => under(place === 0 ? "text_encoder." : "text_encoder_2.", source))
    ]),
    ...(vae !== undefined &&
      { vae, configs: own.configs && new Map([...own.configs].filter(([name]) => name !== "vae")) }),
    ...(prediction !== undefined && { prediction })
  }
})

const isText = ({ network }: Part): boolean => network === "clip" || network === "open-clip"

// The names that begin a part's tensors, what lies next to its network included.
const rootOf = ({ prefix }: Part): string => prefix.replace(/text_model\.$/, "")

const ownNames: Partial<Readonly<Record<Part["network"], RegExp>>> = {
  vae: /^(encoder|decoder|quant_conv|post_quant_conv)\./,
  clip: /^(text_model|embeddings|encoder|final_layer_norm|text_projection)\b/,
  "open-clip": /^(token_embedding|positional_embedding|transformer|ln_final|text_projection)\b/
}

const isOf = (name: string, part: Part): boolean => {
  const root = rootOf(part)
  return name.startsWith(root) && (root !== "" || ownNames[part.network]?.test(name) === true)
}

const without = ({ tensors }: WeightSource, parts: ReadonlyArray<Part>): WeightSource["tensors"] =>
  new Map([...tensors].filter(([name]) => !parts.some((part) => isOf(name, part))))

// The tensors of one part, by their names in it.
const partOf = (source: WeightSource, part: Part): WeightSource => ({
  metadata: {},
  files: source.files,
  tensors: new Map(
    [...source.tensors].filter(([name]) => isOf(name, part)).map((
      [name, tensor]
    ) => [name.slice(rootOf(part).length), tensor])
  )
})

const under = (prefix: string, { files, tensors }: WeightSource): WeightSource => ({
  metadata: {},
  files,
  tensors: new Map([...tensors].map(([name, tensor]): [string, StoredTensor] => {
    const whole = prefix + name
    return [whole, { ...tensor, name: whole }]
  }))
})

const exchanged = (source: WeightSource, parts: ReadonlyArray<Part>, vae: WeightSource): WeightSource =>
  join([
    { ...source, tensors: without(source, parts.filter(({ network }) => network === "vae")) },
    under("first_stage_model.", vae)
  ])

// The VAE in a file. Fails where it has none, or one of another kind of latents.
const vaeFrom = Effect.fnUntraced(function*(file: string, { latents }: Family) {
  const source = yield* open({ file, format: "file" })
  const { kind, parts, problem } = contentsOf(source.tensors)
  const part = parts.find(({ network }) => network === "vae")
  const invalid = (message: string) =>
    new InvalidModelFile({ file, problems: [{ path: "", message }], remedy: another(vaes) })
  if (part === undefined) return yield* invalid(`it has no VAE, but is a file of the kind "${kind}"`)
  if (kind === "vae" && problem !== undefined) return yield* invalid(problem)
  const vae = partOf(source, part)
  const { latentChannels } = yield* fitting(file, () => autoencoderShape(Weights.of(vae, "")))
  if (latentChannels !== latents.channels) {
    const message =
      `it is the VAE of another family: its latents have ${latentChannels} channels, not ${latents.channels}`
    return yield* invalid(message)
  }
  return vae
})

const contextOf = ({ source }: Checkpoint, { parts }: Contents): number => {
  const unet = parts.find(({ network }) => network === "unet")
  return unet === undefined ? 0 : unetShape(Weights.of(source, unet.prefix)).context
}

// A checkpoint's text encoders, its own and those of the files: together they are as wide as the UNet's text, the
// narrower ones first. Undefined where none fit.
const textsFor = Effect.fnUntraced(function*(
  own: Checkpoint,
  contents: Contents,
  { textEncoders: { length } }: Family,
  files: ReadonlyArray<string>
) {
  const context = yield* fitting(own.file, () => contextOf(own, contents))
  const sources = yield* Effect.forEach(files, (file) => open({ file, format: "file" }))
  const all = [own.source, ...sources].flatMap((source) =>
    contentsOf(source.tensors).parts.filter(isText).map((part) => partOf(source, part))
  )
  const found = yield* Effect.forEach(all, (source) =>
    Effect.map(
      fitting(own.file, () => clipTextShape(Weights.of(source, ""))),
      ({ width }) => ({ source, width })
    ))
  const combinations = length === 1
    ? found.map((one) => [one])
    : found.flatMap((one) => found.flatMap((other) => other === one || other.width < one.width ? [] : [[one, other]]))
  const fits = combinations.find((members) => members.reduce((sum, { width }) => sum + width, 0) === context)
  return fits?.map(({ source }) => source)
})
