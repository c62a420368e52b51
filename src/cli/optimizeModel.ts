/**
 * `serena models optimize`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import { statfs } from "node:fs/promises"
import { fileSize } from "../core/Text.ts"
import { reasonOf } from "../core/WriteFailure.ts"
import * as Checkpoint from "../models/Checkpoint.ts"
import { ModelLibrary } from "../models/ModelLibrary.ts"
import { assemble, choose } from "../models/modelParts.ts"
import { Networks } from "../models/Networks.ts"
import { type MadeNetwork, optimise, optimisedOf, removeOptimised, spaceFor } from "../models/optimise.ts"
import { cacheIn } from "../models/optimisedFiles.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import { Options } from "../processing/Options.ts"
import { UnusableFile } from "./failures.ts"
import { notFound } from "./inspectModels.ts"
import { findPlaces } from "./listModels.ts"
import type * as ProcessFlags from "./ProcessFlags.ts"

export interface OptimizeOptions extends ProcessFlags.Places {
  /** Whether to take the networks away. */
  readonly remove: boolean
  readonly json: boolean
  readonly quiet: boolean
}

/** Makes or removes the optimised networks of a checkpoint. Progress goes to standard error. */
export const optimizeModel = Effect.fn("optimizeModel")(function*(name: string, options: OptimizeOptions) {
  const places = yield* findPlaces(options, !options.remove)
  const { dataDir } = places
  if (dataDir === undefined) {
    const message = "name the folder for the optimised networks"
    return yield* new InvalidOptions({ problems: [{ path: "--data-dir", message }] })
  }
  const cache = cacheIn(dataDir)
  const layer = Layer.mergeAll(ModelLibrary.layer, Networks.layer).pipe(
    Layer.provide(CommandOptions.layer(places))
  )
  yield* Effect.gen(function*() {
    const found = yield* (yield* ModelLibrary).find(["checkpoint", "unet"], name)
    if (found === undefined) return yield* notFound(name)
    yield* options.remove ? remove(cache, found.file, options) : make(cache, found.file, options)
  }).pipe(Effect.provide(layer))
})

const unwritten = (file: string) => (error: PlatformError.PlatformError) =>
  new UnusableFile({ file, reason: `the optimised networks cannot be written: ${reasonOf(error)}` })

const remove = Effect.fnUntraced(function*(cache: string, file: string, { json, quiet }: OptimizeOptions) {
  const networks = yield* optimisedOf(cache, file)
  const size = networks.reduce((sum, network) => sum + network.size, 0)
  yield* Effect.mapError(
    removeOptimised(cache, file),
    (error) => new UnusableFile({ file, reason: `the optimised networks cannot be removed: ${reasonOf(error)}` })
  )
  if (json) yield* Console.log(JSON.stringify({ file, removed: networks.length, size }))
  else if (!quiet) {
    yield* Console.log(networks.length === 0 ? "There were no optimised networks." : `Freed ${fileSize(size)}.`)
  }
})

const make = Effect.fnUntraced(function*(cache: string, file: string, { json, quiet }: OptimizeOptions) {
  const library = yield* ModelLibrary
  const own = yield* Checkpoint.read(file)
  if (own === undefined) {
    const reason = "it is a folder of exported networks, and onnxruntime optimises those whenever it opens them"
    return yield* new UnusableFile({ file, reason })
  }
  const checkpoint = yield* assemble(own, yield* choose(file, Options.defaults, library), library.list)
  const space = spaceFor(checkpoint)
  const free = yield* freeIn(cache)
  const needed = `up to ${fileSize(space.disk)} in ${cache}`
  if (free !== undefined && free < space.disk) {
    const reason = `its optimised networks take ${needed}, and ${fileSize(free)} are free there; free some, or name ` +
      "another folder with --data-dir"
    return yield* new UnusableFile({ file, reason })
  }
  const say = (text: string) => quiet ? Effect.void : Console.error(text)
  yield* say(`Optimising ${checkpoint.name}: ${needed}, and up to ${fileSize(space.memory)} of memory meanwhile.`)
  let place = 0
  const made = yield* optimise(checkpoint, cache, (network) => say(`${++place}. ${network} ...`)).pipe(
    Effect.catchTag("PlatformError", (error) => unwritten(file)(error))
  )
  const size = made.reduce((sum, network) => sum + network.size, 0)
  const lines = made.map(({ isNew, network, size }) => `${network}  ${fileSize(size)}${isNew ? "" : "  (was there)"}`)
  yield* Console.log(json ? JSON.stringify({ file, networks: made.map(shown), size }) : lines.join("\n"))
})

const shown = ({ isNew, network, size }: MadeNetwork) => ({ network, size, new: isNew })

// The space that is free where a folder is, or is going to be.
const freeIn = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  let at = folder
  while (!(yield* Effect.orElseSucceed(fs.exists(at), () => false)) && path.dirname(at) !== at) at = path.dirname(at)
  const room = yield* Effect.option(Effect.tryPromise(() => statfs(at)))
  return Option.getOrUndefined(Option.map(room, ({ bavail, bsize }) => bavail * bsize))
})
