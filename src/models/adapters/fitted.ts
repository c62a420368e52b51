/**
 * What adapters change in the layers of a model's networks, and what of it does not fit.
 */
import type { SourceFile, StoredTensor } from "../checkpoint/WeightSource.ts"
import { areRowNorms, type LayerChange, type Matrix, sizeOf, type WeightChange } from "../graph/Change.ts"
import type { NamedLayer } from "../networks/layerNames.ts"
import type { AdapterFile, AdapterLayer } from "./AdapterFile.ts"
import { type NetworkName, plain, type Role } from "./spellings.ts"

/** An adapter as a graph has it: the same at all strengths. */
export interface Adapter {
  /** For messages. */
  readonly name: string
  readonly opened: AdapterFile
  /** Ranks of low-rank changes that count; all of them without it. */
  readonly ranks: number | undefined
}

/** Changes by layer, as `Weights.changed` takes them. */
export type Changes = ReadonlyMap<string, ReadonlyArray<LayerChange>>

export interface Fitted {
  /** What is changed in each network; none for those that no adapter changes. */
  readonly changes: ReadonlyMap<NetworkName, Changes>
  /** Sentences about what is left out, a few for each adapter. */
  readonly warnings: ReadonlyArray<string>
}

/** The graph's input for the strength of the adapter at a place. */
export const strengthOf = (place: number): string => `strength.${place}`

/** Whether what adapters make of a weight depends on which of them comes first. */
export const dependOnOrder = (adapters: ReadonlyArray<Adapter>): boolean =>
  adapters.some(({ opened }) => opened.layers.some(({ tensors }) => dependent.some((role) => tensors.has(role))))

// DoRA, OFT and GLoRA read the weight as the adapters before them left it.
const dependent: ReadonlyArray<Role> = ["magnitude", "blocks", "glora_a1"]

/** Lays adapters over the layers of a model's networks. */
export const fitted = (
  adapters: ReadonlyArray<Adapter>,
  networks: ReadonlyMap<NetworkName, ReadonlyArray<NamedLayer>>
): Fitted => {
  const layers = new Map([...networks].map(([network, named]) => [network, byName(named)]))
  const changes = new Map<NetworkName, Map<string, Array<LayerChange>>>()
  const warnings = adapters.flatMap(({ name, opened, ranks }, place) => {
    const foreign: Array<string> = [...opened.unknown]
    const unfit: Array<string> = []
    let count = 0
    for (const own of opened.layers) {
      const found = layers.get(own.network)?.get(plain(own.name))
      if (found === undefined) {
        foreign.push(own.name)
        continue
      }
      const change = changeOf(own, found.shape, { file: opened.file, ranks, strength: strengthOf(place) })
      if (typeof change === "string") {
        unfit.push(`${own.name}: ${change}`)
        continue
      }
      count++
      const ofNetwork = changes.get(own.network) ?? new Map<string, Array<LayerChange>>()
      changes.set(own.network, ofNetwork)
      ofNetwork.set(found.layer, [...ofNetwork.get(found.layer) ?? [], change])
    }
    return warningsOf({ name, foreign, unfit, count })
  })
  return { changes, warnings }
}

const warningsOf = ({ count, foreign, name, unfit }: {
  readonly name: string
  readonly foreign: ReadonlyArray<string>
  readonly unfit: ReadonlyArray<string>
  readonly count: number
}): ReadonlyArray<string> => {
  const changesNothing = count === 0 ? " It changes nothing in this model." : ""
  return [
    ...(foreign.length === 0 ? [] : [
      `The adapter "${name}" is for ${foreign.length === 1 ? "a layer" : `${foreign.length} layers`} ` +
      `that this model does not have, which ${foreign.length === 1 ? "is" : "are"} left out: ` +
      `${foreign[0]}${foreign.length === 1 ? "" : " is the first"}.${unfit.length === 0 ? changesNothing : ""}`
    ]),
    ...(unfit.length === 0 ? [] : [
      `The adapter "${name}" does not fit ${
        unfit.length === 1 ? "a layer" : `${unfit.length} layers`
      } of this model, ` +
      `which ${unfit.length === 1 ? "stays" : "stay"} as ${unfit.length === 1 ? "it is" : "they are"} (` +
      `${unfit[0]}).${changesNothing}`
    ])
  ]
}

const byName = (layers: ReadonlyArray<NamedLayer>): ReadonlyMap<string, NamedLayer> =>
  new Map(layers.flatMap((layer) => layer.names.map((name) => [plain(name), layer])))

// What a file's layer changes in the network's, or why it cannot.
const changeOf = (
  own: AdapterLayer,
  shape: ReadonlyArray<number>,
  { file, ranks, strength }: {
    readonly file: SourceFile
    readonly ranks: number | undefined
    readonly strength: string
  }
): LayerChange | string => {
  if (own.problem !== undefined) return own.problem
  const weight = weightChangeOf(own, ranks, shape)
  if (typeof weight === "string") return weight
  const bias = biasChangeOf(own, weight)
  if (weight === undefined && bias === undefined) return "its tensors make up no change that is known"
  if (bias !== undefined && count(bias.tensor.shape) !== shape[0]) {
    return `it has ${count(bias.tensor.shape)} numbers for the bias of ${shape[0]}`
  }
  return { strength, file, weight, bias }
}

// A bias of LoRA's second half goes through the same scale as its product.
const biasChangeOf = ({ tensors }: AdapterLayer, weight: WeightChange | undefined): LayerChange["bias"] => {
  const [whole, up] = [tensors.get("diffBias"), tensors.get("upBias")]
  if (whole !== undefined) return { tensor: whole, scale: 1 }
  return up && { tensor: up, scale: weight?.kind === "added" ? weight.scale : 1 }
}

const weightChangeOf = (
  own: AdapterLayer,
  ranks: number | undefined,
  shape: ReadonlyArray<number>
): WeightChange | string | undefined => {
  const { rotations, tensors } = own
  const [rows = 1, inputs = 1, ...kernel] = shape
  const columns = inputs * count(kernel)
  if (rotations.length > 0) {
    const rescale = tensors.get("rescale")
    const fits = rotations.every(({ count, distance, size }) =>
      count * size === rows && (distance === undefined || (rows / distance / 2) % 1 === 0)
    )
    return fits && (rescale === undefined || count(rescale.shape) === rows)
      ? { kind: "turned", rotations, rescale }
      : `it turns ${(rotations[0]?.count ?? 0) * (rotations[0]?.size ?? 0)} rows, where the layer has ${rows}`
  }
  if (tensors.has("glora_a1")) return generalised(own, rows, columns)
  const found = matrixOf(tensors, ranks)
  if (found === undefined) return undefined
  const { matrix, rank } = found
  const magnitude = tensors.get("magnitude")
  const size = sizeOf(matrix)
  if (size === undefined) return "its tensors do not fit each other"
  // The further channels of an inpainting model's first layer are left as they are.
  const isOfPlain = shape.length === 4 && inputs === 9 && magnitude === undefined && size[1] === 4 * count(kernel)
  if (size[0] !== rows || (size[1] !== columns && !isOfPlain)) {
    return `its change is [${size.join(", ")}], where the layer is [${rows}, ${columns}]`
  }
  if (magnitude !== undefined && !areRowNorms(magnitude.shape, rows) && !areColumnNorms(magnitude.shape, inputs)) {
    return `its norms are [${magnitude.shape.join(", ")}], where the layer is [${shape.join(", ")}]`
  }
  return { kind: "added", matrix, scale: scaleOf(own, rank), magnitude }
}

const areColumnNorms = ([first = 0, second = 0, ...others]: ReadonlyArray<number>, inputs: number): boolean =>
  first === 1 && second === inputs && others.every((size) => size === 1)

// Without a rank, alpha has no say.
const scaleOf = ({ alpha, isRankStabilised, scale }: AdapterLayer, rank: number | undefined): number =>
  scale ?? (alpha === undefined || rank === undefined ? 1 : alpha / (isRankStabilised ? Math.sqrt(rank) : rank))

interface Found {
  readonly matrix: Matrix
  /** What divides alpha; undefined where nothing is factored. */
  readonly rank: number | undefined
}

// The matrix that a layer's tensors make up; undefined where they make up none.
const matrixOf = (tensors: AdapterLayer["tensors"], ranks: number | undefined): Found | undefined => {
  const [up, down, diff] = [tensors.get("up"), tensors.get("down"), tensors.get("diff")]
  if (up !== undefined && down !== undefined) {
    const middle = tensors.get("middle")
    return { matrix: { form: "product", up, down, middle, ranks }, rank: down.shape[0] }
  }
  const left = factored(tensors.get("hada_w1_a"), tensors.get("hada_w1_b"), tensors.get("hada_t1"))
  const right = factored(tensors.get("hada_w2_a"), tensors.get("hada_w2_b"), tensors.get("hada_t2"))
  if (left !== undefined && right !== undefined) {
    return { matrix: { form: "elementwise", left, right }, rank: tensors.get("hada_w1_b")?.shape[0] }
  }
  const small = whole(tensors.get("lokr_w1")) ?? factored(tensors.get("lokr_w1_a"), tensors.get("lokr_w1_b"))
  const large = whole(tensors.get("lokr_w2")) ??
    factored(tensors.get("lokr_w2_a"), tensors.get("lokr_w2_b"), tensors.get("lokr_t2"))
  if (small !== undefined && large !== undefined) {
    const ranked = [[large, "lokr_w2_b"], [small, "lokr_w1_b"]] as const
    const [, role] = ranked.find(([{ form }]) => form === "product") ?? []
    return {
      matrix: { form: "kronecker", left: small, right: large },
      rank: role === undefined ? undefined : tensors.get(role)?.shape[0]
    }
  }
  return diff === undefined ? undefined : { matrix: { form: "stored", tensor: diff }, rank: undefined }
}

const whole = (tensor: StoredTensor | undefined): Matrix | undefined => tensor && { form: "stored", tensor }

// Under Tucker's decomposition the first factor lies the other way round.
const factored = (
  up: StoredTensor | undefined,
  down: StoredTensor | undefined,
  middle?: StoredTensor
): Matrix | undefined => up && down && { form: "product", up, down, middle, isFlipped: middle !== undefined }

// GLoRA, in its newer order or, where only that fits, in the older one.
const generalised = (own: AdapterLayer, rows: number, columns: number): WeightChange | string => {
  const tensors = (["glora_a1", "glora_a2", "glora_b1", "glora_b2"] as const).map((role) => own.tensors.get(role))
  const [a1, a2, b1, b2] = tensors
  if (a1 === undefined || a2 === undefined || b1 === undefined || b2 === undefined) {
    return "some of its tensors are missing"
  }
  const areOf = (a: StoredTensor, b: StoredTensor, outputs: number) => {
    const size = sizeOf({ form: "product", up: a, down: b })
    return size !== undefined && size[0] === outputs && size[1] === columns
  }
  const newer = areOf(a1, a2, columns) && areOf(b1, b2, rows)
  if (newer) return { kind: "generalised", right: [a1, a2], added: [b1, b2], scale: scaleOf(own, b2.shape[0]) }
  const older = areOf(a2, a1, columns) && areOf(b2, b1, rows)
  if (older) return { kind: "generalised", right: [a2, a1], added: [b2, b1], scale: scaleOf(own, b1.shape[0]) }
  return "its tensors do not fit the layer"
}

const count = (sizes: ReadonlyArray<number>): number => sizes.reduce((product, size) => product * size, 1)
