/**
 * `serena models`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { fileSize } from "../core/Text.ts"
import { kinds } from "../models/checkpoint/contents.ts"
import { shortHash } from "../models/checkpoint/hashes.ts"
import type { ModelFile } from "../models/ModelFile.ts"
import { emptyFolders, isModel, reasonOf } from "../models/ModelFiles.ts"
import { ModelLibrary } from "../models/ModelLibrary.ts"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import * as Serena from "../Serena.ts"
import { byFlag } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { table } from "./tables.ts"

export interface ListOptions extends ProcessFlags.Places {
  /** Whether to print lines of JSON. */
  readonly json: boolean
  /** Whether to print only the names of models that can be used, one in a line. */
  readonly names: boolean
}

/** The folders that a command names, or the usual ones. `keeps` is whether the data folder has to be writable. */
export const findPlaces = ({ dataDir, modelsDir }: ProcessFlags.Places, keeps = false) =>
  ProcessFlags.findPlaces({
    modelsDir: Option.getOrUndefined(modelsDir),
    dataDir: Option.getOrUndefined(dataDir)
  }, keeps).pipe(
    Effect.mapError((problems) => new InvalidOptions({ problems: problems.map(byFlag(ProcessFlags.table)) }))
  )

/** The library of the folders that a command names. */
export const layerLibrary = (places: ProcessFlags.Places) =>
  Effect.map(findPlaces(places), (found) => Serena.layer({ cmdOpts: found }))

/** Prints what is in the models folders, and what is wrong with it. Headers are read, and no network is opened. */
export const listModels = Effect.fn("listModels")(
  function*({ json, names, ...places }: ListOptions) {
    const layer = yield* layerLibrary(places)
    yield* Effect.gen(function*() {
      const library = yield* ModelLibrary
      const files = inOrder(yield* library.list)
      if (names) {
        for (const file of files) if (isModel(file) && file.problems.length === 0) yield* Console.log(file.name)
        return
      }
      if (json) { for (const file of files) yield* Console.log(yield* jsonLine(file)) }
      else yield* Console.log(table(["NAME", "KIND", "FAMILY", "PRECISION", "SIZE", ""], files.map(row)))
      const empty = yield* emptyFolders
      if (empty !== undefined) yield* Console.error(`Warning: ${empty}`)
    }).pipe(Effect.provide(layer))
  }
)

// By kind, models first; what came with the package last.
const inOrder = (files: ReadonlyArray<ModelFile>): ReadonlyArray<ModelFile> =>
  files.toSorted((a, b) => Number(a.embedded) - Number(b.embedded) || kinds.indexOf(a.kind) - kinds.indexOf(b.kind))

const row = ({ contents, embedded, family, kind, name, problems, size }: ModelFile): ReadonlyArray<string> => [
  name,
  contents?.variant === undefined ? kind : `${kind}, ${contents.variant}`,
  family ?? "",
  (contents?.precision ?? []).join(" "),
  size === 0 ? "" : fileSize(size),
  [embedded ? "(embedded)" : "", problems.length === 0 ? "" : `not usable: ${reasonOf({ problems })}`].join(" ").trim()
]

const jsonLine = Effect.fnUntraced(function*(file: ModelFile) {
  const hashes = yield* (yield* ModelLibrary).knownHashes(file)
  const { contents, embedded, family = null, file: folder, kind, name, problems, size } = file
  return JSON.stringify({
    name,
    folder,
    embedded,
    usable: problems.length === 0,
    problems,
    kind,
    family,
    variant: contents?.variant ?? null,
    precision: contents?.precision ?? [],
    size,
    // Where it is known: computing it reads the whole file.
    hash: hashes === undefined ? null : shortHash(hashes)
  })
})
