/**
 * Optimised networks of checkpoints: what `serena models optimize` makes, and runs on the processor open in place of
 * the graphs that they were made of.
 *
 * onnxruntime converts the weights to float32, joins operators and arranges the weights of convolutions as this
 * processor reads them. That takes the space of all weights in float32 on the disk. Each network is written under
 * another name and renamed when it is whole, so several processes may write at once, and what a killed one leaves is
 * never opened.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { makeFolder } from "../core/makeFolder.ts"
import * as ProcessIdentity from "../core/ProcessIdentity.ts"
import type { InvalidModelFile, NetworkError, NetworkLoadError, NetworkThreadDied } from "../model/ModelError.ts"
import type { Checkpoint } from "./Checkpoint.ts"
import { contentsOf } from "./checkpoint/contents.ts"
import type { FileHashes } from "./checkpoint/hashes.ts"
import * as CheckpointModel from "./CheckpointModel.ts"
import { type BuiltNetwork, Networks } from "./Networks.ts"
import { bytesIn, entryName, environment, fileNames, findOptimised, folderOf, keyOf } from "./optimisedFiles.ts"

/** An optimised network of a checkpoint. */
export interface OptimisedNetwork {
  /** `unet`, `vae_decoder`, `text_encoder`. */
  readonly network: string
  /** Bytes on the disk. */
  readonly size: number
  /** Whether runs open it: it was made of the checkpoint as it is, by these versions, for this processor. */
  readonly isValid: boolean
}

const About = Schema.fromJsonString(Schema.Struct({
  network: Schema.String,
  environment: Schema.String,
  files: Schema.Array(Schema.Struct({ path: Schema.String, size: Schema.Finite, modified: Schema.Finite }))
}))

const aboutName = "about.json"

/** What optimised networks of a checkpoint may take at most, in bytes. */
export interface OptimisedSpace {
  /** On the disk. */
  readonly disk: number
  /** In memory, while they are made. */
  readonly memory: number
}

/**
 * Space for a checkpoint's optimised networks, by the number of its weights: float32 on the disk, and while they are
 * made what they are made of as well.
 */
export const spaceFor = ({ source: { tensors } }: Checkpoint): OptimisedSpace => {
  const prefixes = contentsOf(tensors).parts.map(({ prefix }) => prefix)
  const elements = [...tensors.values()]
    .filter(({ name }) => prefixes.some((prefix) => name.startsWith(prefix)))
    .reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0)
  return { disk: Math.ceil(elements * 4 * 1.1), memory: Math.ceil(elements * 4 * 1.8) }
}

const byName = (a: { readonly network: string }, b: { readonly network: string }): number =>
  a.network < b.network ? -1 : 1

type Services = FileSystem.FileSystem | Path.Path

/** The optimised networks that a checkpoint has, of any age. */
export const optimisedOf = Effect.fnUntraced(function*(
  cache: string,
  checkpoint: string
): Effect.fn.Return<ReadonlyArray<OptimisedNetwork>, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = folderOf(cache, checkpoint)
  const names = yield* Effect.orElseSucceed(fs.readDirectory(folder), () => [])
  const found: Array<OptimisedNetwork> = []
  for (const name of names) {
    const about = yield* Effect.option(
      Effect.flatMap(fs.readFileString(path.join(folder, name, aboutName)), Schema.decodeEffect(About))
    )
    if (isUnfinished(name) || about._tag === "None") continue
    const { files, network, environment: made } = about.value
    const size = bytesIn(path.join(folder, name))
    const isSame = yield* Effect.forEach(files, (file) =>
      Effect.match(fs.stat(file.path), {
        onFailure: () => false,
        onSuccess: ({ mtime, size }) =>
          Number(size) === file.size && mtime._tag === "Some" && Math.abs(mtime.value.getTime() - file.modified) < 1
      }))
    const isValid = made === environment() && name.endsWith(`-${size}`) && isSame.every(Boolean)
    found.push({ network, size, isValid })
  }
  return found.toSorted(byName)
})

/** Takes the optimised networks of a checkpoint away. Runs that have them open go on. */
export const removeOptimised = Effect.fn("removeOptimised")(function*(
  cache: string,
  checkpoint: string
): Effect.fn.Return<void, PlatformError.PlatformError, Services> {
  const fs = yield* FileSystem.FileSystem
  yield* fs.remove(folderOf(cache, checkpoint), { recursive: true, force: true })
})

/** A network that is there now, and whether it was there before. */
export interface MadeNetwork {
  readonly network: string
  readonly size: number
  readonly isNew: boolean
}

/**
 * Makes the optimised network of a graph, where it is not there: the file of its checkpoint is `built.file`. `report`
 * is given its name before it is made.
 */
export const saveOptimised = Effect.fnUntraced(function*(
  cache: string,
  built: BuiltNetwork,
  report: (network: string) => Effect.Effect<void> = () => Effect.void
): Effect.fn.Return<
  MadeNetwork,
  NetworkLoadError | NetworkThreadDied | PlatformError.PlatformError,
  Networks | Services
> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const networks = yield* Networks
  const { file, graph, name: network = "network" } = built
  const found = () => findOptimised(cache, file, graph)
  const known = found()
  if (known !== undefined) return { network, size: bytesIn(path.dirname(known)), isNew: false }
  yield* report(network)
  const folder = folderOf(cache, file)
  const { pid, place, started } = yield* ProcessIdentity.current
  const unfinished = path.join(folder, `writing-${pid}-${place}-${started}-${randomUUID()}`)
  return yield* Effect.gen(function*() {
    yield* makeFolder(fs, path, unfinished)
    yield* networks.optimise(built, path.join(unfinished, fileNames.graph))
    const about = { network, environment: environment(), files: graph.files }
    yield* fs.writeFileString(path.join(unfinished, aboutName), yield* Effect.orDie(Schema.encodeEffect(About)(about)))
    const size = bytesIn(unfinished)
    const key = keyOf(graph)
    // A damaged one may have the same name.
    if (found() === undefined) yield* removeAll(folder, (name) => name.startsWith(`${key}-`))
    yield* Effect.catchIf(
      fs.rename(unfinished, path.join(folder, entryName(key, size))),
      // Another process was faster.
      () => found() !== undefined,
      () => Effect.void
    )
    return { network, size, isNew: true }
  }).pipe(Effect.ensuring(Effect.ignore(fs.remove(unfinished, { recursive: true, force: true }))))
})

/**
 * Makes the optimised networks of a checkpoint that are not there: its UNet, the decoder of its VAE, its text encoders.
 * Those of earlier versions of its files are taken away, and what killed processes left.
 */
export const optimise = Effect.fn("optimise")(function*(
  checkpoint: Checkpoint,
  cache: string,
  report?: (network: string) => Effect.Effect<void>
): Effect.fn.Return<
  ReadonlyArray<MadeNetwork>,
  InvalidModelFile | NetworkError | PlatformError.PlatformError,
  FileHashes | Networks | Services
> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const networks = yield* Networks
  const services = Context.make(FileSystem.FileSystem, fs).pipe(
    Context.add(Path.Path, path),
    Context.add(Networks, networks)
  )
  const folder = folderOf(cache, checkpoint.file)
  yield* makeFolder(fs, path, folder)
  yield* removeUnfinished(folder)
  const made: Array<MadeNetwork> = []
  const kept = new Set<string>()
  let failure: PlatformError.PlatformError | undefined
  // The model builds its networks as for a run; each is made before it is opened.
  const making = Networks.of({
    ...networks,
    open: (network, options) => {
      if (typeof network === "string") return networks.open(network, options)
      kept.add(keyOf(network.graph))
      return saveOptimised(cache, network, report).pipe(
        Effect.provideContext(services),
        Effect.tap((saved) => Effect.sync(() => made.push(saved))),
        Effect.catchTag("PlatformError", (error) =>
          Effect.sync(() => {
            failure ??= error
          })),
        Effect.andThen(networks.open(network, options))
      )
    }
  })
  yield* Effect.scoped(Effect.gen(function*() {
    const model = yield* Effect.provideService(CheckpointModel.make(checkpoint), Networks, making)
    yield* model.warm
  }))
  if (failure !== undefined) return yield* failure
  yield* removeAll(folder, (name) => !isUnfinished(name) && !kept.has(name.replace(/-\d+$/, "")))
  return made.toSorted(byName)
})

const isUnfinished = (name: string): boolean => name.startsWith("writing-")

const removeAll = Effect.fnUntraced(function*(folder: string, isRemoved: (name: string) => boolean) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (const name of yield* fs.readDirectory(folder)) {
    if (isRemoved(name)) yield* fs.remove(path.join(folder, name), { recursive: true, force: true })
  }
})

/** Takes away what processes left that have ended. What another machine left may still be written. */
export const removeUnfinished = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const ended = new Set<string>()
  for (const name of yield* fs.readDirectory(folder)) {
    const [, pid, place = "", started] = /^writing-(\d+)-([0-9a-f]+)-(\d+)-/.exec(name) ?? []
    if (pid === undefined) continue
    const status = yield* ProcessIdentity.statusOf({ pid: Number(pid), place, started: Number(started) })
    if (status === "ended") ended.add(name)
  }
  yield* removeAll(folder, (name) => ended.has(name))
})
