/**
 * Networks of a model with adapters over their weights: opened once for a set of files, shared by the runs that use it,
 * and kept for later ones. Strengths are no part of a set, they are bound to each call.
 */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import type { AdapterUse } from "../model/Adapter.ts"
import type { InvalidModelFile } from "../model/ModelError.ts"
import * as AdapterFile from "./adapters/AdapterFile.ts"
import { type Adapter, dependOnOrder, type Fitted, fitted, strengthOf } from "./adapters/fitted.ts"
import type { NetworkName } from "./adapters/spellings.ts"
import { openForReading } from "./checkpoint/openFile.ts"
import type { NamedLayer } from "./networks/layerNames.ts"
import { onlySuccess } from "./opening.ts"
import * as shared from "./shared.ts"

/** Values of a network's inputs for the strengths of adapters, by name. */
export type Strengths = Readonly<Record<string, number>>

export interface Adapted<A> {
  /** What `open` made of the changes; undefined where there are none. */
  readonly networks: A | undefined
  /** Strengths that each changed network reads. */
  readonly strengths: ReadonlyMap<NetworkName, Strengths>
  /** Sentences about what does not fit. */
  readonly warnings: ReadonlyArray<string>
}

/** Sets of adapters whose networks stay open without a run that uses them. */
const mostSets = 2

/** Files whose headers are remembered. */
const mostFiles = 32

type Services = FileSystem.FileSystem | Path.Path

/** Adapts networks of these layers. `open` makes them from the changes of a set, for as long as its scope. */
export const make = Effect.fnUntraced(function*<A>(
  layers: Effect.Effect<ReadonlyMap<NetworkName, ReadonlyArray<NamedLayer>>, InvalidModelFile>,
  open: (changes: Fitted["changes"]) => Effect.Effect<A, InvalidModelFile, Scope.Scope>
): Effect.fn.Return<
  (uses: ReadonlyArray<AdapterUse>) => Effect.Effect<Adapted<A>, InvalidModelFile, Scope.Scope>,
  never,
  Services | Scope.Scope
> {
  const services = Context.pick(FileSystem.FileSystem, Path.Path)(yield* Effect.context<Services>())
  const sets = yield* shared.make<A, InvalidModelFile>(mostSets)
  const files = yield* Cache.makeWith(
    (key: string) => Effect.provideContext(AdapterFile.open(pathOf(key)), services),
    { capacity: mostFiles, timeToLive: onlySuccess }
  )

  const opened = Effect.fnUntraced(function*(use: AdapterUse): Effect.fn.Return<Opened, InvalidModelFile> {
    const key = yield* Effect.provideContext(keyOf(use.file), services)
    const ranks = use.dim === undefined ? undefined : Math.floor(use.dim)
    const adapter = { name: use.name, opened: yield* Cache.get(files, key), ranks }
    return { use, key: `${ranks ?? "all"} ${key}`, adapter }
  })

  return Effect.fnUntraced(function*(uses) {
    // Of no ranks nothing is left.
    const found = yield* Effect.forEach(uses.filter(({ dim = 1 }) => dim >= 1), opened)
    const ordered = dependOnOrder(found.map(({ adapter }) => adapter))
      ? found
      : found.toSorted((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
    const { changes, warnings } = fitted(ordered.map(({ adapter }) => adapter), yield* layers)
    const strengths = new Map([...changes].map(([network, ofLayers]) => {
      const read = new Set([...ofLayers.values()].flat().map(({ strength }) => strength))
      const values = ordered.flatMap(({ use }, place): ReadonlyArray<[string, number]> => {
        const name = strengthOf(place)
        return read.has(name) ? [[name, network === "unet" ? use.unet : use.textEncoder]] : []
      })
      return [network, Object.fromEntries(values)]
    }))
    const networks = changes.size === 0
      ? undefined
      : yield* sets.get(ordered.map(({ key }) => key).join("\n"), open(changes))
    return { networks, strengths, warnings }
  })
})

interface Opened {
  readonly use: AdapterUse
  readonly key: string
  readonly adapter: Adapter
}

// A file as it is now: one that was written again is another.
const keyOf = (file: string): Effect.Effect<string, InvalidModelFile, FileSystem.FileSystem> =>
  Effect.scoped(Effect.map(openForReading(file), ({ as }) => `${as.size} ${as.modified} ${as.path}`))

const pathOf = (key: string): string => key.replace(/^\S+ \S+ /, "")
