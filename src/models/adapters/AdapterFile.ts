/**
 * Files of adapters: LoRA and its relatives, in every spelling that programs write.
 *
 * The header is read, and the few numbers that decide how tensors go together; the tensors themselves stay in the file.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type { InvalidModelFile } from "../../model/ModelError.ts"
import { adapterOf, bundledEmbedding } from "../checkpoint/adapterNames.ts"
import { invalid, openForReading } from "../checkpoint/openFile.ts"
import { openFile } from "../checkpoint/sources.ts"
import { toFloats } from "../checkpoint/values.ts"
import { isFloat, type SourceFile, type StoredTensor, type WeightSource } from "../checkpoint/WeightSource.ts"
import type { Rotation } from "../graph/Change.ts"
import { rotationsOf } from "./rotations.ts"
import { type NetworkName, type Role, type Spelling, spellingOf } from "./spellings.ts"

/** What an adapter's file holds for one layer. */
export interface AdapterLayer {
  readonly network: NetworkName
  /** The layer as the file names it, without what stands for the network. */
  readonly name: string
  readonly tensors: ReadonlyMap<Role, StoredTensor>
  /** What the rank divides, or OFT's limit; undefined where there is none. */
  readonly alpha: number | undefined
  /** A scale that the file states outright. */
  readonly scale: number | undefined
  readonly isRankStabilised: boolean
  /** What turns the rows; empty for other algorithms. */
  readonly rotations: ReadonlyArray<Rotation>
  /** Why it cannot be used; undefined for one that can. */
  readonly problem: string | undefined
}

export interface AdapterFile {
  readonly file: SourceFile
  readonly layers: ReadonlyArray<AdapterLayer>
  /** Tensors whose names say nothing about a layer of Stable Diffusion. */
  readonly unknown: ReadonlyArray<string>
}

/** Opens an adapter's file. Fails with `InvalidModelFile` for one that is damaged, or that holds no adapter. */
export const open = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<AdapterFile, InvalidModelFile, FileSystem.FileSystem | Path.Path> {
  const source = yield* openFile(path)
  const [file] = source.files
  if (file === undefined || adapterOf(source.tensors) === undefined) {
    return yield* invalid(path, "it holds no LoRA or other adapter")
  }
  const { layers, unknown } = grouped(source)
  const stated = alphasOf(source.metadata)
  return {
    file,
    unknown,
    layers: yield* Effect.scoped(Effect.gen(function*() {
      const { read } = yield* openForReading(file.path)
      const values = (tensor: StoredTensor) =>
        Effect.map(read(tensor.offset, tensor.length), (bytes) => toFloats(tensor.type, bytes))
      return yield* Effect.forEach(layers, (layer) => completed(layer, stated(layer), values))
    }))
  }
})

interface Group extends Pick<Spelling, "isKohyaOft" | "network"> {
  readonly name: string
  readonly tensors: Map<Role, StoredTensor>
}

// Tensors by their layers, in the order of the file.
const grouped = ({ tensors }: WeightSource) => {
  const groups = new Map<string, Group>()
  const unknown: Array<string> = []
  for (const [name, tensor] of tensors) {
    if (bundledEmbedding(name) !== undefined) continue
    const spelling = spellingOf(name)
    if (spelling === undefined) {
      unknown.push(name)
      continue
    }
    const { isKohyaOft, layer, network, role } = spelling
    const key = `${network} ${layer}`
    const group = groups.get(key) ?? { network, name: layer, isKohyaOft, tensors: new Map() }
    group.tensors.set(role, tensor)
    groups.set(key, group)
  }
  return { layers: [...groups.values()], unknown }
}

interface Stated {
  readonly alpha: number | undefined
  readonly isRankStabilised: boolean
}

const completed = Effect.fnUntraced(function*(
  { isKohyaOft, name, network, tensors }: Group,
  stated: Stated,
  values: (tensor: StoredTensor) => Effect.Effect<Float32Array, InvalidModelFile>
): Effect.fn.Return<AdapterLayer, InvalidModelFile> {
  let problem: string | undefined
  const single = Effect.fnUntraced(function*(role: "alpha" | "scale") {
    const tensor = tensors.get(role)
    if (tensor === undefined) return undefined
    const [value = NaN] = count(tensor) === 1 ? yield* values(tensor) : []
    if (Number.isFinite(value)) return value
    problem = `its ${role} is not one finite number`
    return undefined
  })
  const own = { alpha: yield* single("alpha"), scale: yield* single("scale") }
  const blocks = tensors.get("blocks")
  const whole = [...tensors].find(([role, { type }]) => role !== "alpha" && role !== "scale" && !isFloat(type))
  const empty = [...tensors.values()].find((tensor) => count(tensor) === 0)
  problem ??= whole !== undefined
    ? `${whole[1].name} is of the type ${whole[1].type}`
    : empty !== undefined
    ? `${empty.name} is empty`
    : undefined
  const rotations = blocks === undefined || problem !== undefined ? [] : yield* turning(blocks, {
    limit: isKohyaOft ? own.alpha ?? 0 : own.alpha === undefined || own.alpha <= 0 ? Infinity : own.alpha,
    values
  })
  if (blocks !== undefined && rotations.length === 0) {
    const size = blocks.shape.at(-1) ?? 0
    problem ??= size > largestBlock
      ? `its blocks have ${size} rows, and inverting more than ${largestBlock} would take too long`
      : "its blocks are of a shape that is not read"
  }
  return {
    network,
    name,
    tensors,
    alpha: own.alpha ?? stated.alpha,
    scale: own.scale,
    isRankStabilised: own.alpha === undefined && stated.isRankStabilised,
    rotations,
    problem
  }
})

// Each layer's blocks are inverted in a turn of their own: other work goes on in between.
const turning = Effect.fnUntraced(function*(blocks: StoredTensor, { limit, values }: {
  readonly limit: number
  readonly values: (tensor: StoredTensor) => Effect.Effect<Float32Array, InvalidModelFile>
}) {
  const size = blocks.shape.at(-1) ?? 0
  if (size > largestBlock || blocks.shape.at(-2) !== size || blocks.shape.length < 3 || blocks.shape.length > 4) {
    return []
  }
  const numbers = yield* values(blocks)
  yield* Effect.yieldNow
  return rotationsOf(blocks.shape, numbers, limit)
})

/** Rows of the largest block that is inverted, which takes a fifth of a second. */
const largestBlock = 512

const count = ({ shape }: StoredTensor): number => shape.reduce((product, size) => product * size, 1)

const PeftMetadata = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))
const Numbers = Schema.Record(Schema.String, Schema.Number)

// What PEFT's description in the header says of a layer's alpha.
const alphasOf = (metadata: WeightSource["metadata"]): (layer: Group) => Stated => {
  const none: Stated = { alpha: undefined, isRankStabilised: false }
  const text = metadata["lora_adapter_metadata"]
  const decoded = text === undefined ? Option.none() : Schema.decodeUnknownOption(PeftMetadata)(text)
  if (Option.isNone(decoded)) return () => none
  const fields = new Map(Object.entries(decoded.value))
  return ({ name, network }) => {
    const own = `${network}.`
    const field = (key: string) => fields.get(own + key) ?? (network === "unet" ? fields.get(key) : undefined)
    const pattern = Option.getOrElse(Schema.decodeUnknownOption(Numbers)(field("alpha_pattern")), () => ({}))
    const [, special] = Object.entries(pattern).find(([part]) => name === part || name.endsWith(`.${part}`)) ?? []
    const alpha = special ?? field("lora_alpha")
    return typeof alpha === "number" && Number.isFinite(alpha)
      ? { alpha, isRankStabilised: field("use_rslora") === true }
      : none
  }
}
