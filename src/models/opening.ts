/**
 * Opens a model's networks: checked, once for all users, until the model's scope closes.
 */
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { InvalidModelFolder, type NetworkError } from "../model/ModelError.ts"
import type { ModelFolder } from "./ModelFolder.ts"
import {
  type BuiltNetwork,
  type Network,
  type NetworkInfo,
  Networks,
  type OpenOptions,
  type TensorType
} from "./Networks.ts"
import * as TensorBuffer from "./TensorBuffer.ts"

/** Which network of a folder, and what it must have. */
export interface Part {
  /** Name of its folder within the model's. */
  readonly part: string
  readonly file: string
  /** Whether the network runs apart from the others. */
  readonly background?: boolean | undefined
  readonly seamless?: boolean | undefined
  readonly int8?: boolean | undefined
  /**
   * Each input with its dimensions: a number for one that is always the same, a name for one that has to vary,
   * undefined for one that may do either. The dimension "batch" may be fixed: rows go through the network so many at a
   * time.
   */
  readonly inputs: Readonly<Record<string, ReadonlyArray<number | string | undefined> | undefined>>
  readonly outputs: ReadonlyArray<string>
  /** Added to the message about a missing output. */
  readonly hint?: string | undefined
}

/** A network that has the inputs and outputs it is going to be used with. */
export interface Opened {
  readonly network: Network
  /** Number type of an input or output; float32 for one that is not there. */
  readonly type: (name: string) => TensorType
  /** Rows that every call must have, where the export fixed them. */
  readonly batch: number | undefined
}

/** Opens networks of one folder, each when it is first asked for, until the scope closes. */
export type Opener = (part: Part) => Effect.Effect<Effect.Effect<Opened, NetworkError>>

/** The opener of a folder's networks, which are closed with the scope. */
export const opener = Effect.fnUntraced(function*(
  folder: ModelFolder
): Effect.fn.Return<Opener, never, Networks | Scope.Scope> {
  const scope = yield* Effect.scope
  const networks = yield* Networks
  return (part) =>
    remembered(
      openChecked(folder, part).pipe(
        openedWithin(scope),
        Effect.withSpan("model.load", {
          attributes: { "serena.model": folder.name, "serena.network": part.part }
        }),
        Effect.provideService(Networks, networks)
      ),
      { isFresh: ({ network }) => network.isOpen() }
    )
})

/** Opens networks that are built here, each when it is first asked for, until the scope closes. */
export type BuiltOpener = (
  label: { readonly model: string; readonly network: string },
  build: Effect.Effect<BuiltNetwork, NetworkError>,
  options?: OpenOptions
) => Effect.Effect<Effect.Effect<Opened, NetworkError>>

/** The opener of built networks, which are closed with the scope. */
export const builtOpener = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const networks = yield* Networks
  const open: BuiltOpener = ({ model, network }, build, options) =>
    remembered(
      build.pipe(
        Effect.flatMap((built) => networks.open({ ...built, name: network }, options)),
        Effect.map((network): Opened => ({ network, type: typesOf(network), batch: undefined })),
        openedWithin(scope),
        Effect.withSpan("model.load", { attributes: { "serena.model": model, "serena.network": network } })
      ),
      { isFresh: ({ network }) => network.isOpen() }
    )
  return open
})

const typesOf = ({ inputs, outputs }: NetworkInfo): Opened["type"] => {
  const types = new Map<string, TensorType>()
  for (const { name, type } of [...inputs, ...outputs]) {
    const known = TensorBuffer.tensorType(type)
    if (known !== undefined) types.set(name, known)
  }
  return (name) => types.get(name) ?? "float32"
}

// Opens a network and checks that it can be used as it will be.
const openChecked = Effect.fnUntraced(function*(folder: ModelFolder, part: Part) {
  const { open } = yield* Networks
  const network = yield* open(part.file, {
    background: part.background,
    seamless: part.seamless,
    int8: part.int8
  })
  const messages = [
    ...missing("inputs", network.inputs, Object.keys(part.inputs), part.hint),
    ...missing("outputs", network.outputs, part.outputs, part.hint),
    ...unusedInputs(network, part),
    ...fixedInputs(network, part),
    ...fixedBatches(network, part)
  ]
  if (messages.length > 0) {
    const problems = messages.map((message) => ({ path: `${part.part}/model.onnx`, message }))
    return yield* new InvalidModelFolder({ folder: folder.folder, problems })
  }
  const [batch] = batchesOf(network, part)
  const opened: Opened = { network, type: typesOf(network), batch }
  return opened
})

// Inputs or outputs that are not there, or whose numbers are of a type that is not read or written.
const missing = (
  side: "inputs" | "outputs",
  found: NetworkInfo["inputs"],
  expected: ReadonlyArray<string>,
  hint = ""
): ReadonlyArray<string> =>
  expected.flatMap((name) => {
    const tensor = found.find((tensor) => tensor.name === name)
    if (tensor === undefined) {
      return [`its ${side} are ${found.map((tensor) => tensor.name).join(", ")}, without "${name}"${hint}`]
    }
    return TensorBuffer.tensorType(tensor.type) === undefined ? [`"${name}" is of type ${tensor.type}`] : []
  })

// A network does not run without all of its inputs.
const unusedInputs = ({ inputs }: NetworkInfo, part: Part): ReadonlyArray<string> => {
  const names = inputs.map(({ name }) => name).filter((name) => !Object.hasOwn(part.inputs, name))
  return names.length === 0 ? [] : [
    `it requires ${names.map((name) => `"${name}"`).join(", ")}, which Stable Diffusion models of this kind do not have`
  ]
}

// Dimensions that the export fixed, and that vary here or are others.
const fixedInputs = ({ inputs }: NetworkInfo, part: Part): ReadonlyArray<string> =>
  inputs.flatMap(({ dims, name }) => {
    const given = part.inputs[name]
    if (given === undefined || given.length !== dims.length) return []
    const fixed = dims.flatMap((dim, i) => {
      const wanted = given[i]
      return typeof dim !== "number" || dim <= 0 || wanted === undefined || wanted === "batch" || dim === wanted
        ? []
        : [{ dim, wanted }]
    })
    const varying = fixed.flatMap(({ dim, wanted }) => typeof wanted === "string" ? [`${wanted} ${dim}`] : [])
    const others = fixed.flatMap(({ dim, wanted }) => typeof wanted === "number" ? [`${dim} for ${wanted}`] : [])
    return [
      ...(varying.length === 0 ? [] : [
        `"${name}" is fixed to ${varying.join(", ")}; export the model with dynamic axes`
      ]),
      ...(others.length === 0 ? [] : [
        `"${name}" has the dimensions ${dims.join(", ")}, which do not fit the model's configuration (${
          others.join(", ")
        })`
      ])
    ]
  })

// The batches that the export fixed, each once.
const batchesOf = ({ inputs }: NetworkInfo, part: Part): ReadonlyArray<number> => [
  ...new Set(
    inputs.flatMap(({ dims, name }) => {
      const place = part.inputs[name]?.indexOf("batch") ?? -1
      const dim = dims[place]
      return typeof dim === "number" && dim > 0 ? [dim] : []
    })
  )
]

const fixedBatches = (network: NetworkInfo, part: Part): ReadonlyArray<string> => {
  const batches = batchesOf(network, part)
  return batches.length <= 1 ? [] : [
    `its inputs are fixed to different batches, ${batches.join(" and ")}; export the model with dynamic axes`
  ]
}

// Closes what was opened with the scope, or at once when opening fails or is interrupted.
const openedWithin = (scope: Scope.Scope) => <A, E, R>(opening: Effect.Effect<A, E, R | Scope.Scope>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.fork(scope), (own) =>
      Effect.onExit(
        restore(Scope.provide(opening, own)),
        (exit) => Exit.isFailure(exit) ? Scope.close(own, exit) : Effect.void
      ))
  )

/**
 * Computes a value on first use and shares it until it is stale. A failure is not remembered, and interrupting one
 * waiter does not affect the others.
 */
export const remembered = <A, E>(
  effect: Effect.Effect<A, E>,
  { isFresh = () => true, lookedUp }: {
    readonly isFresh?: (value: A) => boolean
    /** Runs at each lookup, with whether the value was there or already being computed. */
    readonly lookedUp?: (found: boolean) => Effect.Effect<void>
  } = {}
): Effect.Effect<Effect.Effect<A, E>> =>
  Effect.map(Cache.makeWith<"value", A, E, never>(() => effect, { capacity: 1, timeToLive: onlySuccess }), (cache) => {
    const value: Effect.Effect<A, E> = Effect.filterOrElse(Cache.get(cache, "value"), isFresh, () =>
      Effect.andThen(
        Cache.invalidateWhen(cache, "value", (value) => !isFresh(value)),
        Cache.get(cache, "value")
      ))
    return lookedUp === undefined
      ? value
      : Effect.andThen(Effect.flatMap(Cache.has(cache, "value"), lookedUp), value)
  })

/** How long a cache keeps an exit: failures are tried again. */
export const onlySuccess = (exit: Exit.Exit<unknown, unknown>) => Exit.isSuccess(exit) ? "Infinity" : 0
