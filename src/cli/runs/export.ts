/**
 * `serena runs export`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import { makeFolder } from "../../core/makeFolder.ts"
import { reasonOf } from "../../core/WriteFailure.ts"
import { BlobStore } from "../../runs/BlobStore.ts"
import { isEnded, type RunRecord } from "../../runs/RunRecord.ts"
import { RunsCommandError } from "../failures.ts"
import { allFacts, jsonLine } from "./facts.ts"
import { type Filters, queryOf } from "./list.ts"
import { allRuns, forEachNamed, type Places, withStores } from "./places.ts"

interface ExportOptions extends Places, Filters {
  readonly to: string
  readonly json: boolean
}

/**
 * Writes a folder for each run: its images with their infotexts, its grids and masks, and all facts in `run.json`. A
 * folder that is there already stays as it is.
 */
export const exportRuns = Effect.fn("exportRuns")(
  function*(names: ReadonlyArray<string>, { json, to, ...options }: ExportOptions) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = path.resolve(to)
    const query = yield* queryOf(options)
    yield* withStores(options)(Effect.gen(function*() {
      const chosen = names.length > 0 ? names : (yield* allRuns(query)).filter(isEnded).map(({ id }) => id)
      const failed = (reason: string) =>
        new RunsCommandError({ message: `Nothing can be written to ${root}: ${reason}.` })
      yield* Effect.mapError(makeFolder(fs, path, root), (error) => failed(reasonOf(error)))
      yield* forEachNamed(chosen, (run) =>
        Effect.gen(function*() {
          const folder = path.join(root, run.id)
          yield* Effect.scoped(write(run, folder)).pipe(
            Effect.catchTag("PlatformError", (error) => Effect.fail(failed(reasonOf(error))))
          )
          yield* Console.log(json ? jsonLine({ id: run.id, folder, files: filesOf(run).length }) : folder)
        }))
    }))
  }
)

interface ExportedFile {
  readonly name: string
  readonly blob: string
  readonly infotext: string
}

const filesOf = ({ extras, images }: RunRecord): ReadonlyArray<ExportedFile> => [
  ...images.map(({ blob, format, index, infotext, seed }) => ({ name: `${index}-${seed}.${format}`, blob, infotext })),
  ...extras.map(({ blob, format, index, infotext, kind }, position) => ({
    name: `${kind.replaceAll(" ", "-")}-${index ?? position}.${format}`,
    blob,
    infotext
  }))
]

// The folder has its name once all of it is written, and takes that of no other.
const write = Effect.fnUntraced(function*(run: RunRecord, folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const blobs = yield* BlobStore
  const exists = new RunsCommandError({
    message: `${folder} is there already and stays as it is. Remove it, or name another folder with --to.`
  })
  if (yield* fs.exists(folder)) return yield* exists
  const partial = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(folder), prefix: ".exporting-" })
  const made = path.join(partial, run.id)
  yield* fs.makeDirectory(made)
  for (const { blob, infotext, name } of filesOf(run)) {
    const bytes = yield* Effect.mapError(
      blobs.get(blob),
      ({ message }) => new RunsCommandError({ message: `${name} of the run ${run.id} cannot be exported. ${message}` })
    )
    yield* fs.writeFile(path.join(made, name), bytes)
    yield* fs.writeFileString(path.join(made, `${name}.txt`), `${infotext}\n`)
  }
  yield* fs.writeFileString(path.join(made, "run.json"), `${jsonLine(allFacts(run), 2)}\n`)
  const isTaken = ({ reason }: PlatformError.PlatformError) => reason._tag === "AlreadyExists"
  yield* Effect.catchIf(fs.rename(made, folder), isTaken, () => Effect.fail(exists))
})
