/**
 * What the prompts of a run ask for by name: LoRAs in tags, embeddings as words.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AdapterUse } from "../model/Adapter.ts"
import { type Embedding, type EmbeddingFile, fits } from "../model/Embedding.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import { Models } from "../model/Models.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import * as Encoding from "../prompt/Encoding.ts"
import type { Lora } from "../prompt/ExtraNetworks.ts"
import * as Inversions from "../prompt/Inversions.ts"
import type { PromptSchedule } from "../prompt/PromptSchedule.ts"
import { missingEmbeddings, occurring } from "./embeddings.ts"
import type { Outline, PlannedNetworks } from "./plan.ts"
import { promptSteps, readNegative, readPrompt } from "./readPrompts.ts"

/** A file that a prompt names, and its hash, which may take a while. */
export interface HashedFile {
  readonly name: string
  readonly hash: Effect.Effect<string, NetworkError>
}

/** What was found, and the files whose hashes infotexts list. */
export interface FoundNetworks extends PlannedNetworks {
  readonly hashed: {
    readonly adapters: ReadonlyArray<HashedFile>
    readonly embeddings: ReadonlyArray<HashedFile>
  }
}

/** Finds the files, and reads what is small. Names that nothing has are warned of, and left out. */
export const findNetworks = Effect.fnUntraced(function*(
  model: LoadedModel,
  outline: Outline,
  limits: Limits
): Effect.fn.Return<FoundNetworks, NetworkError, Models> {
  const adapters = yield* adaptersOf(model, outline)
  const embeddings = yield* embeddingsOf(model, outline, limits, adapters.embeddings)
  return {
    first: adapters.first,
    hires: adapters.hires,
    embeddings: embeddings.found,
    hashed: { adapters: adapters.hashed, embeddings: embeddings.hashed },
    warnings: [...adapters.warnings, ...embeddings.warnings]
  }
})

const adaptersOf = Effect.fnUntraced(function*(model: LoadedModel, { loras, opts }: Outline) {
  const { adapter = () => Effect.undefined } = yield* Models
  const names = new Set([...loras.first, ...loras.hires].map(({ name }) => name))
  const files = new Map<string, string>()
  const hashed: Array<HashedFile> = []
  const embeddings: Array<Embedding> = []
  const warnings: Array<string> = []
  for (const name of names) {
    const found = yield* adapter(name)
    if (found === undefined) {
      warnings.push(`No LoRA is named ${name}: it was left out.`)
    } else if (found.problem !== undefined) {
      warnings.push(`The LoRA ${name} was left out: ${found.problem}.`)
    } else {
      files.set(name, found.file)
      // One that does not act is not among the hashes.
      if (model.adapted === undefined) continue
      if (opts.lora_add_hashes_to_infotext) hashed.push({ name, hash: found.hash })
      embeddings.push(...(yield* found.embeddings))
    }
  }
  const uses = (asked: ReadonlyArray<Lora>) => merged(asked.flatMap((lora) => useOf(lora, files.get(lora.name))))
  return { first: uses(loras.first), hires: uses(loras.hires), embeddings, hashed, warnings }
})

const useOf = (
  { dynamicRank, name, networkWeight, textEncoderWeight }: Lora,
  file: string | undefined
): ReadonlyArray<AdapterUse> =>
  file === undefined ? [] : [{
    name,
    file,
    unet: networkWeight,
    textEncoder: textEncoderWeight,
    ...(dynamicRank !== undefined && { dim: dynamicRank })
  }]

// A file that is named twice acts once, with the sum of its strengths.
const merged = (uses: ReadonlyArray<AdapterUse>): ReadonlyArray<AdapterUse> => {
  const each = new Map<string, AdapterUse>()
  for (const use of uses) {
    const key = `${use.dim} ${use.file}`
    const { textEncoder = 0, unet = 0 } = each.get(key) ?? {}
    each.set(key, { ...use, unet: use.unet + unet, textEncoder: use.textEncoder + textEncoder })
  }
  return [...each.values()]
}

const embeddingsOf = Effect.fnUntraced(function*(
  model: LoadedModel,
  outline: Outline,
  limits: Limits,
  bundled: ReadonlyArray<Embedding>
) {
  const files = yield* (yield* Models).embeddings ?? Effect.succeed([])
  // One in a file of its own counts more than one of its name in an adapter's.
  const known = [
    ...files,
    ...bundled.map((embedding) => ({ name: embedding.name, read: Effect.succeed(embedding), hash: undefined }))
      .filter(({ name }, i, all) => [...files, ...all.slice(0, i)].every((other) => other.name !== name))
  ]
  const texts = [outline, outline.hires].flatMap((pass) => pass === undefined ? [] : [pass.prompt, pass.negativePrompt])
  const warnings = missingEmbeddings(texts, known)
  const named = occurring(texts, known)
  if (named.length === 0) return { found: [], hashed: [], warnings }
  const schedules = yield* schedulesOf(outline)
  const read = yield* Effect.forEach(
    named,
    ({ hash, read }) => Effect.map(read, (embedding): Read => ({ embedding, hash }))
  )
  const acting = read.filter(({ embedding }) => fits(embedding, model.textEncoders))
  const standing = (known: ReadonlyArray<Read>) => namedIn({ schedules, known, model, opts: outline.opts, limits })
  const used = yield* standing(acting)
  const unfit = yield* standing(read.filter((each) => !acting.includes(each)))
  const isListed = outline.opts.textual_inversion_add_hashes_to_infotext
  const hashed = used.flatMap(({ embedding: { name }, hash }): ReadonlyArray<HashedFile> =>
    hash === undefined || !isListed ? [] : [{ name, hash }]
  )
  return { found: [...used, ...unfit].map(({ embedding }) => embedding), hashed, warnings }
})

const schedulesOf = Effect.fnUntraced(function*({ hires, levels, opts, ...plan }: Outline) {
  if (levels === undefined) return []
  const first = { plan: { ...plan, levels }, levels, stepsBefore: undefined }
  const second = hires?.levels === undefined
    ? []
    : [{ plan: hires, levels: hires.levels, stepsBefore: promptSteps(first) }]
  const read = yield* Effect.forEach(
    [first, ...second],
    (pass) => Effect.all([readPrompt(pass, opts), readNegative(pass, opts)])
  )
  return read.flatMap(([{ parts }, negative]) => parts.map(({ schedule }) => schedule).concat(negative.schedule))
})

interface Read {
  readonly embedding: Embedding
  /** Undefined for one in an adapter's file, which has no hash of its own. */
  readonly hash: EmbeddingFile["hash"] | undefined
}

// Those whose names stand in the texts as tokens, in their order there.
const namedIn = Effect.fnUntraced(function*({ known, limits, model, opts: { emphasis }, schedules }: {
  readonly schedules: ReadonlyArray<PromptSchedule>
  readonly known: ReadonlyArray<Read>
  readonly model: LoadedModel
  readonly opts: OptionsSnapshot
  readonly limits: Limits
}) {
  if (known.length === 0) return []
  const vocabulary = yield* model.textEncoders[0].vocabulary
  const findInversion = yield* Inversions.finder(known.map(({ embedding }) => embedding), vocabulary)
  const names = new Set<string>()
  for (const schedule of schedules) {
    const budget = { prompt: "prompt", texts: schedule.texts.length, most: limits.max_prompt_chunks } as const
    const read = yield* Effect.option(Encoding.make(schedule, vocabulary, { emphasis, findInversion, budget }))
    // What is too long is refused when it is to be encoded.
    const chunks = Option.isNone(read) ? [] : read.value.texts.flatMap(({ chunks }) => chunks)
    for (const { inversion } of chunks.flatMap(({ inversions }) => inversions)) names.add(inversion.name)
  }
  return [...names].flatMap((name) => known.filter(({ embedding }) => embedding.name === name))
})
