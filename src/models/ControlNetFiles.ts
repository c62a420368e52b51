/**
 * The ControlNets of the models folders, by name and title.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { createHash } from "node:crypto"
import type { ControlNetFile, ControlNets } from "../model/Models.ts"
import type { ModelFile } from "./ModelFile.ts"
import type { ModelLibrary } from "./ModelLibrary.ts"

/** The part of a file that the webui hashed in its first year, and that titles of ControlNets still show. */
const hashed = { offset: 0x10_0000n, length: 0x1_0000 }

const shortHash = (file: string) =>
  Effect.gen(function*() {
    const open = yield* (yield* FileSystem.FileSystem).open(file)
    yield* open.seek(hashed.offset, "start")
    const bytes = yield* open.readAlloc(hashed.length)
    return createHash("sha256").update(Option.getOrElse(bytes, () => new Uint8Array())).digest("hex").slice(0, 8)
  }).pipe(Effect.scoped, Effect.option)

const titled = (entry: ModelFile): Effect.Effect<ControlNetFile, never, FileSystem.FileSystem> =>
  Effect.map(shortHash(entry.file), (hash) => ({
    name: entry.name,
    title: Option.match(hash, { onNone: () => entry.name, onSome: (digits) => `${entry.name} [${digits}]` }),
    file: entry.file
  }))

/** Those that the library finds. What cannot be used is found by name only, and refused when it is opened. */
export const make = (library: ModelLibrary["Service"], fs: FileSystem.FileSystem): ControlNets => {
  const provided = Effect.provideService(FileSystem.FileSystem, fs)
  return {
    list: library.list.pipe(
      Effect.flatMap((files) =>
        Effect.forEach(files.filter(({ kind, problems }) => kind === "controlnet" && problems.length === 0), titled)
      ),
      provided
    ),
    find: (name) =>
      library.find(["controlnet"], name.trim().replace(/ \[[0-9a-f]{8}\]$/i, "")).pipe(
        Effect.flatMap((found) => found === undefined ? Effect.undefined : titled(found)),
        provided
      )
  }
}
