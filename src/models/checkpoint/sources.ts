/**
 * Weights that lie in more than one file: shards with their index, the networks of a diffusers folder, files that are
 * chosen to go together.
 *
 * All of them become one `WeightSource`. The networks of a folder, and files that are joined, are distinguished by a
 * prefix of their tensors' names, as the networks of a single file are: `unet.`, `vae.`, `text_encoder.` and
 * `text_encoder_2.`.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { problemsOf } from "../../core/Problem.ts"
import { InvalidModelFile } from "../../model/ModelError.ts"
import { invalid, openForReading, readSafetensors } from "./openFile.ts"
import * as PyTorchFile from "./PyTorchFile.ts"
import { mostTensors, shownName } from "./safetensorsHeader.ts"
import type { StoredTensor, WeightSource } from "./WeightSource.ts"

/** Networks of a diffusers folder that Serena reads: their folders' names. */
export const components = ["unet", "vae", "text_encoder", "text_encoder_2"] as const
export type Component = (typeof components)[number]

/** The same tensors under names that begin with `prefix`. */
export const withPrefix = (prefix: string, source: WeightSource): WeightSource =>
  prefix === "" ? source : {
    ...source,
    tensors: new Map(
      [...source.tensors.values()].map((tensor): [string, StoredTensor] => {
        const name = prefix + tensor.name
        return [name, { ...tensor, name }]
      })
    )
  }

/** Sources as one. Of tensors with one name the last counts: what is joined later replaces what was there. */
export const join = (sources: ReadonlyArray<WeightSource>): WeightSource => ({
  tensors: new Map(sources.flatMap(({ tensors }) => [...tensors])),
  metadata: Object.fromEntries(sources.flatMap(({ metadata }) => Object.entries(metadata))),
  files: [...new Map(sources.flatMap(({ files }) => files.map((file) => [file.path, file] as const))).values()]
})

type Services = FileSystem.FileSystem | Path.Path

/**
 * Opens one file of weights, recognised by its contents: safetensors, a file of torch (`.ckpt`, `.pt`, `.bin`), or the
 * index of shards (`*.safetensors.index.json`). Fails with `InvalidModelFile`, which says what the file is instead.
 */
export const openFile = Effect.fnUntraced(
  function*(file: string): Effect.fn.Return<WeightSource, InvalidModelFile, Services | Scope.Scope> {
    const open = yield* openForReading(file)
    if (/\.index(\.[\w-]+)?\.json$/i.test(file)) return yield* openShards(file)
    const head = yield* open.read(0, Math.min(open.as.size, headLength))
    if (PyTorchFile.isZip(head)) return yield* PyTorchFile.read(file, open)
    const other = otherFormat(head)
    if (other !== undefined) return yield* invalid(file, other)
    return yield* readSafetensors(file, open)
  },
  Effect.scoped
)

const headLength = 264

const startsWith = (head: Uint8Array, bytes: ReadonlyArray<number>): boolean =>
  bytes.every((byte, i) => head[i] === byte)

const text = (head: Uint8Array): string => Buffer.from(head).toString("latin1")

// Formats that people mistake for one that is read, by their first bytes.
const otherFormat = (head: Uint8Array): string | undefined => {
  if (head.length === 0) return "it is empty; download it again"
  if (text(head).startsWith("version https://git-lfs.github.com/spec/")) {
    return "it is a Git LFS pointer in place of the contents; run `git lfs pull` where it was cloned"
  }
  if (text(head).startsWith("GGUF")) {
    return "it is a GGUF file, which is not read yet; use the .safetensors file of the same model"
  }
  // Protocol 2 and torch's magic number, which begin every file that torch saved before version 1.6.
  if (startsWith(head, [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46])) {
    return "torch saved it before version 1.6, a format that is not read; use a .safetensors file, or load it and save " +
      "it again with a newer torch"
  }
  if (head[0] === 0x80 && (head[1] ?? 0) <= 5 && head[8] !== 0x7b) {
    return "it is a bare Python pickle, which is not read; use a .safetensors file"
  }
  if (/^\s*<(!doctype|html)/i.test(text(head))) return "it is a web page, not the model; download it again"
  if (text(head.subarray(257, 262)) === "ustar") {
    return "it is a tar archive; unpack it, or use a .safetensors file"
  }
  return undefined
}

const ShardIndex = Schema.fromJsonString(Schema.Struct({
  weight_map: Schema.Record(Schema.String, Schema.String)
}))

const largestIndex = 16 * 2 ** 20

/** Opens the shards that an index names. Each tensor of the index must be in its shard, and be there once. */
export const openShards = Effect.fnUntraced(function*(
  index: string
): Effect.fn.Return<WeightSource, InvalidModelFile, Services | Scope.Scope> {
  const path = yield* Path.Path
  const { as, read } = yield* openForReading(index)
  if (as.size > largestIndex) return yield* invalid(index, `it has ${as.size} bytes, too many for an index of shards`)
  const bytes = yield* read(0, as.size)
  const { weight_map } = yield* Schema.decodeEffect(ShardIndex, { errors: "all" })(
    new TextDecoder().decode(bytes)
  ).pipe(Effect.mapError(({ issue }) => new InvalidModelFile({ file: index, problems: problemsOf(issue) })))
  const names = Object.entries(weight_map)
  if (names.length > mostTensors) return yield* invalid(index, `it has more than ${mostTensors} tensors`)
  const foreign = names.find(([, shard]) => shard !== path.basename(shard) || /[\\/]/.test(shard) || shard === "..")
  if (foreign !== undefined) {
    return yield* invalid(index, `its shard "${shownName(foreign[1])}" is in another folder`, shownName(foreign[0]))
  }
  const shards = new Map<string, WeightSource>()
  // The index is a link in a cache of the hub, and so are the shards: they have their names next to the link.
  for (const shard of new Set(Object.values(weight_map))) {
    const file = path.join(path.dirname(index), shard)
    shards.set(shard, yield* Effect.scoped(Effect.flatMap(openForReading(file), (open) => readSafetensors(file, open))))
  }
  const missing = names.find(([name, shard]) => shards.get(shard)?.tensors.has(name) !== true)
  if (missing !== undefined) {
    return yield* invalid(index, `the shard ${shownName(missing[1])} does not have it`, shownName(missing[0]))
  }
  const seen = new Set<string>()
  for (const [shard, { tensors }] of shards) {
    for (const name of tensors.keys()) {
      if (seen.has(name)) return yield* invalid(path.join(path.dirname(index), shard), "two shards have it", name)
      seen.add(name)
    }
  }
  return join([...shards.values()])
}, Effect.scoped)

/** Stems of weight files, as diffusers and transformers name them. */
const stems: ReadonlySet<string> = new Set(["diffusion_pytorch_model", "model", "pytorch_model"])

/**
 * The file of weights in a network's folder: the one without a variant (`.fp16.`) before those with, whole before
 * sharded, safetensors before torch's.
 */
export const weightsIn = (names: ReadonlyArray<string>): string | undefined => {
  const rank = (name: string): number | undefined => {
    const match = /^([a-z_]+?)(?:\.([\w-]+))?\.(safetensors|bin)(\.index(?:\.[\w-]+)?\.json)?$/i.exec(name)
    const [, stem = "", variant, format, index] = match ?? []
    if (match === null || !stems.has(stem) || /-\d+-of-\d+\./.test(name) || (format === "bin" && index !== undefined)) {
      return undefined
    }
    const isVariant = variant !== undefined || /\.index\.[\w-]+\.json$/.test(index ?? "")
    return (format === "bin" ? 4 : 0) + (isVariant ? 2 : 0) + (index === undefined ? 0 : 1)
  }
  return names
    .flatMap((name) => {
      const found = rank(name)
      return found === undefined ? [] : [{ name, rank: found }]
    })
    .toSorted((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1))[0]?.name
}

/**
 * The files of weights of a diffusers folder, by network. Networks of another name (`safety_checker`,
 * `image_encoder`) are left out.
 */
export const filesOfFolder = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<ReadonlyMap<Component, string>, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const found = yield* Effect.forEach(
    components,
    Effect.fnUntraced(function*(component) {
      const names = yield* Effect.orElseSucceed(fs.readDirectory(path.join(folder, component)), () => [])
      const file = weightsIn(names)
      return file === undefined ? [] : [[component, path.join(folder, component, file)] as const]
    }),
    { concurrency: "unbounded" }
  )
  return new Map(found.flat())
})

/** Opens the networks of a diffusers folder as one source, each under the prefix of its name. */
export const openFolder = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<WeightSource, InvalidModelFile, Services> {
  const files = yield* filesOfFolder(folder)
  if (files.size === 0) {
    return yield* invalid(folder, `it has none of the folders ${components.join(", ")} with weights`)
  }
  const sources = yield* Effect.forEach(
    files,
    ([component, file]) => Effect.map(openFile(file), (source) => withPrefix(`${component}.`, source))
  )
  return join(sources)
})
