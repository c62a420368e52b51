/**
 * A file of weights, or a folder that is one model: what it is, recognised by its contents, and what it may be called.
 */
import type { Size } from "../core/Geometry.ts"
import type { Problem } from "../core/Problem.ts"
import type { Contents, FamilyName, Kind } from "./checkpoint/contents.ts"
import type { Hashes } from "./checkpoint/hashes.ts"
import { openFile, openFolder } from "./checkpoint/sources.ts"

/** A file of weights, or a folder that is one model. */
export interface ModelFile {
  /** The file's name without its ending, the folder's name, or `owner/name` in a cache of the hub. */
  readonly name: string
  /** Where it was found: an absolute path. */
  readonly file: string
  /** How its weights lie: in one file, in a diffusers folder, or as exported networks. */
  readonly format: "file" | "diffusers" | "onnx"
  readonly kind: Kind
  /** The family that it belongs to or fits; undefined where several would do, or none is known. */
  readonly family: FamilyName | undefined
  /** In bytes; of a folder, of all its weights. */
  readonly size: number
  /** The size of the images that a model makes unless asked for another; undefined for other files. */
  readonly nativeSize: Size | undefined
  /** What is in it; undefined for exported networks, and for files that cannot be read. */
  readonly contents: Contents | undefined
  /** Texts of a safetensors file's header. */
  readonly metadata: Readonly<Record<string, string>>
  /** An image next to it, `name.preview.png` or `name.png`. */
  readonly preview: string | undefined
  /** Whether it came with this package. */
  readonly embedded: boolean
  /** Why it cannot be used; empty where it can. */
  readonly problems: ReadonlyArray<Problem>
}

const weights = /\.(safetensors|ckpt|pt|pth|bin|gguf|onnx)$/i
const shard = /-\d{5}-of-\d{5}\.\w+$/
const index = /\.safetensors\.index(\.[\w-]+)?\.json$/

/** Whether a file is the index of shards, by its name. */
export const isIndex = (name: string): boolean => index.test(name)

/** Whether a file has weights, by its name; a shard has them with its index only. */
export const hasWeights = (name: string): boolean => (weights.test(name) && !shard.test(name)) || isIndex(name)

/** A file's name without the ending of weights. */
export const withoutEnding = (name: string): string => name.replace(index, "").replace(weights, "")

/** The weights of a file or folder, unless it holds exported networks. */
export const open = ({ file, format }: Pick<ModelFile, "file" | "format">) =>
  format === "diffusers" ? openFolder(file) : openFile(file)

/** A hash, or the beginning of one: eight hexadecimal digits at least. */
const hash = /^[0-9a-f]{8,64}$/i

/** A name with digits of a hash, as the webui writes titles: `name.safetensors [0123456789]`. */
const title = /^(.*?)\s*\[([0-9a-f]{8,64})\]$/is

/** What a user wrote to mean a file: a name, a name and a hash, or a hash alone. */
export interface Wanted {
  readonly name: string
  /** Its first digits, in lower case. */
  readonly hash: string | undefined
}

export const wantedBy = (written: string): Wanted => {
  const trimmed = written.trim()
  const [, name, digits] = title.exec(trimmed) ?? []
  const alone = hash.test(trimmed) ? trimmed : undefined
  return { name: name ?? trimmed, hash: (digits ?? alone)?.toLowerCase() }
}

/** The name by which workers know a model that is asked for by its title or file. */
export const calledModel = (written: string): string => withoutEnding(wantedBy(written).name)

/**
 * Whether a file has a name: its own with or without its ending, in any case, with the folders that it lies in or
 * without, or a LoRA's `ss_output_name`. A folder may be asked for as a checkpoint's file: clients of the webui know no
 * other models.
 */
export const isNamed = ({ file, metadata, name }: Pick<ModelFile, "file" | "metadata" | "name">, written: string) => {
  const slashed = file.toLowerCase().replaceAll("\\", "/")
  const given = written.trim().toLowerCase().replaceAll("\\", "/")
  const asked = withoutEnding(slashed) === slashed ? given.replace(/\.(?:safetensors|ckpt)$/, "") : given
  if (asked === "") return false
  return [name.toLowerCase(), metadata["ss_output_name"]?.toLowerCase()].includes(asked) ||
    [slashed, withoutEnding(slashed)].some((own) => own === asked || own.endsWith(`/${asked}`))
}

/**
 * What files call themselves: a LoRA's `ss_output_name`, unless another file has it as a name, too, or it cannot stand
 * in a tag; else the file's name.
 */
export const aliases = (
  files: ReadonlyArray<Pick<ModelFile, "kind" | "metadata" | "name">>
): (file: Pick<ModelFile, "metadata" | "name">) => string => {
  const loras = files.filter(({ kind }) => kind === "lora")
  const owners = Map.groupBy(
    loras.flatMap((file) => [...new Set([file.metadata["ss_output_name"], file.name])].map((name) => ({ file, name }))),
    ({ name }) => name?.toLowerCase()
  )
  return ({ metadata, name }) => {
    const alias = metadata["ss_output_name"]
    const isFree = alias !== undefined && owners.get(alias.toLowerCase())?.length === 1
    return isFree && /^[^<>:\s][^<>:]*$/.test(alias) ? alias : name
  }
}

/** Whether one of a file's hashes begins with these digits. */
export const hasHash = ({ autoV3, sha256 }: Hashes, digits: string): boolean =>
  sha256.startsWith(digits) || autoV3?.startsWith(digits) === true

/** Words that a LoRA was trained on, from the texts of its header; the most frequent first, at most twenty. */
export const trainedWords = (metadata: Readonly<Record<string, string>>): ReadonlyArray<string> => {
  const phrase = metadata["modelspec.trigger_phrase"]
  const counts = new Map<string, number>()
  try {
    const tags: unknown = JSON.parse(metadata["ss_tag_frequency"] ?? "{}")
    for (const set of Object.values(tags ?? {})) {
      for (const [tag, count] of Object.entries(set ?? {})) {
        if (typeof count === "number") counts.set(tag.trim(), (counts.get(tag.trim()) ?? 0) + count)
      }
    }
  } catch {
    // Texts of headers are often cut.
  }
  const words = [...counts].toSorted(([, a], [, b]) => b - a).slice(0, 20).map(([tag]) => tag)
  return phrase === undefined || phrase === "" ? words : [phrase, ...words.filter((word) => word !== phrase)]
}
