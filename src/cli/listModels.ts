/**
 * `serena models`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { listed, type Problem } from "../core/Problem.ts"
import { emptyFolder, unusableFiles, whyUnusable } from "../models/ModelFiles.ts"
import * as ModelFolder from "../models/ModelFolder.ts"
import { type ModelEntry, ModelProvider } from "../models/ModelProvider.ts"
import { InvalidOptions } from "../processing/Options.ts"
import * as Serena from "../Serena.ts"
import { byFlag } from "./Flags.ts"
import { findModelsDir } from "./modelsDir.ts"
import * as ProcessFlags from "./ProcessFlags.ts"

interface Listed extends ModelEntry {
  /** Why it cannot be used; empty when it can. */
  readonly problems: ReadonlyArray<Problem>
}

export interface ListOptions {
  readonly modelsDir: Option.Option<string>
  /** Whether to print lines of JSON. */
  readonly json: boolean
  /** Whether to print only the names of usable models, one in a line. */
  readonly names: boolean
}

/** Prints name and folder of each model, what does not load and why. No network is opened. */
export const listModels = Effect.fn("listModels")(
  function*(options: ListOptions) {
    const modelsDir = yield* Effect.mapError(
      findModelsDir(Option.getOrUndefined(options.modelsDir)),
      (problems) => new InvalidOptions({ problems: problems.map(byFlag(ProcessFlags.table)) })
    )
    const entries = yield* Effect.flatMap(ModelProvider, ({ list }) => list).pipe(
      Effect.provide(Serena.layer({ cmdOpts: { modelsDir } }))
    )
    const folders = yield* Effect.forEach(entries, checked)
    if (options.names) {
      for (const { name, problems } of folders) if (problems.length === 0) yield* Console.log(name)
      return
    }
    const files = modelsDir === undefined ? [] : yield* unusableIn(modelsDir)
    // The embedded models come last.
    const found = [...folders.filter(({ embedded }) => !embedded), ...files, ...folders.filter(isEmbedded)]
    for (const each of found) yield* Console.log(options.json ? jsonLine(each) : line(each))
    const empty = modelsDir === undefined ? undefined : yield* emptyFolder(modelsDir)
    if (empty !== undefined) yield* Console.error(`Warning: ${empty}`)
  }
)

const isEmbedded = ({ embedded }: ModelEntry): boolean => embedded

const checked = Effect.fnUntraced(function*(entry: ModelEntry) {
  // Checkpoints were looked into when they were found.
  if (!(yield* ModelFolder.isModelFolder(entry.folder))) {
    const listed: Listed = { ...entry, problems: [] }
    return listed
  }
  const found: Listed = yield* Effect.match(ModelFolder.read(entry.folder), {
    onFailure: ({ problems }) => ({ ...entry, problems }),
    onSuccess: () => ({ ...entry, problems: [] })
  })
  return found
})

const unusableIn = Effect.fnUntraced(function*(modelsDir: string) {
  const path = yield* Path.Path
  return (yield* unusableFiles(path.resolve(modelsDir))).map((file): Listed => ({
    name: path.basename(file.path),
    folder: path.resolve(modelsDir, file.path),
    embedded: false,
    problems: [{ path: "", message: whyUnusable(file) }]
  }))
})

const reason = (problems: ReadonlyArray<Problem>): string =>
  problems.map(({ message, path }) => path === "" ? message : listed([{ message, path }])).join("; ")

const line = ({ embedded, folder, name, problems }: Listed): string =>
  `${name}  ${folder}${embedded ? "  (embedded)" : ""}${
    problems.length === 0 ? "" : `  (not usable: ${reason(problems)})`
  }`

const jsonLine = ({ embedded, folder, name, problems }: Listed): string =>
  JSON.stringify({ name, folder, embedded, usable: problems.length === 0, problems })
