/**
 * Presets: named settings of forms, in a file of the data folder, so that every browser has them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { Preset } from "../../contract/Prompts.ts"
import { fileText } from "../../core/fileText.ts"
import { changing, replaceFile } from "../../core/replaceFile.ts"
import { reasonOf } from "../../core/WriteFailure.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { NotSaved } from "../../processing/NotSaved.ts"

const name = "presets.json"
/** Most presets that are kept. */
const most = 1000
/** Most settings of a preset. */
const mostSettings = 200
/** Largest file, in bytes. */
const largest = 16 * 1024 * 1024

const Content = Schema.fromJsonString(Schema.Array(Preset))
const decode = Schema.decodeUnknownEffect(Content)

export class Presets extends Context.Service<Presets, {
  /** By their names. */
  readonly list: Effect.Effect<ReadonlyArray<Preset>>
  /** Adds or changes a preset. */
  readonly save: (preset: Preset) => Effect.Effect<Preset, NotSaved>
  /** Removes the preset of a name, if there is one, and returns it. */
  readonly remove: (name: string) => Effect.Effect<ReadonlyArray<Preset>, NotSaved>
}>()("serena/server/host/Presets") {
  /** In the data folder, or in memory without one. A file that cannot be read is never written over. */
  static readonly layer: Layer.Layer<Presets, never, CommandOptions | FileSystem.FileSystem | Path.Path> = Layer.effect(
    Presets,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const { dataDir } = yield* CommandOptions
      const file = dataDir === undefined ? undefined : path.join(dataDir, name)
      const notSaved = (reason: string) => new NotSaved({ what: "presets", file: name, reason })
      let inMemory: ReadonlyArray<Preset> = []

      const read = Effect.gen(function*() {
        if (file === undefined) return inMemory
        const bytes = yield* Effect.option(fs.readFile(file)).pipe(
          Effect.filterOrElse(
            Option.isSome,
            () =>
              Effect.flatMap(
                fs.exists(file),
                (isThere) => isThere ? Effect.fail(notSaved("it cannot be read")) : Effect.succeedNone
              )
          )
        )
        if (Option.isNone(bytes)) return []
        const text = fileText(bytes.value)
        return yield* Effect.mapError(decode(text), () => notSaved("it is not a file of presets; remove it"))
      }).pipe(Effect.catchTag("PlatformError", (error) => Effect.fail(notSaved(reasonOf(error)))))

      const write = Effect.fnUntraced(function*(presets: ReadonlyArray<Preset>) {
        if (presets.length > most) return yield* notSaved(`there are ${most} presets already`)
        if (file === undefined) {
          inMemory = presets
          return
        }
        const bytes = new TextEncoder().encode(`${JSON.stringify(presets, null, 2)}\n`)
        if (bytes.length > largest) return yield* notSaved("the file would be larger than 16 MiB")
        yield* replaceFile(fs, file, `${file}.partial`, bytes).pipe(
          Effect.tapError(({ message }) => Effect.logError(`Presets were not saved in ${file}: ${message}`)),
          Effect.mapError((error) => notSaved(reasonOf(error)))
        )
      })

      const oneByOne = yield* Semaphore.make(1)
      // Servers may share a data folder.
      const changed = <A>(change: Effect.Effect<A, NotSaved>) =>
        oneByOne.withPermits(1)(file === undefined ? change : changing(fs, file)(change)).pipe(
          Effect.catchTags({
            FileInUse: () => Effect.fail(notSaved("another process is changing the file")),
            PlatformError: (error) => Effect.fail(notSaved(reasonOf(error)))
          })
        )
      const sorted = (presets: ReadonlyArray<Preset>) => presets.toSorted((a, b) => a.name.localeCompare(b.name, "en"))
      return Presets.of({
        list: read.pipe(
          Effect.map(sorted),
          Effect.catch(({ reason }) => Effect.as(Effect.logWarning(`There are no presets in ${file}: ${reason}.`), []))
        ),
        save: Effect.fn("Presets.save")(function*(preset) {
          if (Object.keys(preset.settings).length > mostSettings) {
            return yield* notSaved(`a preset has at most ${mostSettings} settings`)
          }
          const others = (yield* read).filter(({ name }) => name !== preset.name)
          yield* write(sorted([...others, preset]))
          return preset
        }, changed),
        remove: Effect.fn("Presets.remove")(function*(name) {
          const all = yield* read
          const found = all.filter((preset) => preset.name === name)
          if (found.length > 0) yield* write(all.filter((preset) => !found.includes(preset)))
          return found
        }, changed)
      })
    })
  )
}
