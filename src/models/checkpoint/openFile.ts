/**
 * Opens files of weights: their headers are read, their tensors stay where they are.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { InvalidModelFile } from "../../model/ModelError.ts"
import { largestHeader, parseHeader } from "./safetensorsHeader.ts"
import type { SourceFile, StoredTensor, WeightSource } from "./WeightSource.ts"

/** An error about a file, or about one tensor of it. */
export const invalid = (file: string, message: string, path = ""): InvalidModelFile =>
  new InvalidModelFile({ file, problems: [{ path, message }] })

const unreadable = (file: string) => ({ reason }: PlatformError.PlatformError): InvalidModelFile =>
  invalid(
    file,
    reason._tag === "NotFound" ? "there is no such file" : `it cannot be read (${reason._tag})`
  )

/** A file that is open for reading, and as it was at that moment. */
export interface OpenFile {
  readonly as: SourceFile
  /** Exactly `length` bytes from `offset`; fails where the file has fewer. */
  readonly read: (offset: number, length: number) => Effect.Effect<Uint8Array, InvalidModelFile>
}

/** Opens a file by its real path: caches of the hub are full of symbolic links, which onnxruntime does not follow. */
export const openForReading = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<OpenFile, InvalidModelFile, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const failed = Effect.mapError(unreadable(file))
  const path = yield* failed(fs.realPath(file))
  // What is no regular file is not opened: reading a pipe would wait for ever.
  if ((yield* failed(fs.stat(path))).type !== "File") return yield* invalid(file, "it is not a file")
  const open = yield* failed(fs.open(path))
  const as = sourceFile(path, yield* failed(open.stat))
  const read = Effect.fnUntraced(function*(offset: number, length: number) {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length;) {
      const count = yield* failed(open.read(bytes.subarray(done), { position: BigInt(offset + done) }))
      if (count === 0) return yield* invalid(file, `it ends after ${offset + done} bytes: it is truncated`)
      done += count
    }
    return bytes
  })
  return { as, read }
})

const sourceFile = (path: string, { mtime, size }: FileSystem.File.Info): SourceFile => ({
  path,
  size: Number(size),
  modified: Option.match(mtime, { onNone: () => 0, onSome: (date) => date.getTime() })
})

/**
 * Opens a `.safetensors` file. Its header alone is read, of at most 32 MiB; everything in it is checked.
 *
 * Fails with `InvalidModelFile`, which names the tensor.
 */
export const openSafetensors = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<WeightSource, InvalidModelFile, FileSystem.FileSystem> {
  return yield* Effect.scoped(Effect.flatMap(openForReading(file), (open) => readSafetensors(file, open)))
})

/** The tensors of an open safetensors file. */
export const readSafetensors = Effect.fnUntraced(function*(
  file: string,
  { as, read }: OpenFile
): Effect.fn.Return<WeightSource, InvalidModelFile> {
  if (as.size < 8) return yield* invalid(file, `it has ${as.size} bytes, which is no safetensors file`)
  const head = yield* read(0, 8)
  const length = new DataView(head.buffer).getBigUint64(0, true)
  if (length > largestHeader) {
    return yield* invalid(
      file,
      `its header would have ${length} bytes, more than the ${largestHeader} that are read: it is no safetensors file`
    )
  }
  const start = 8 + Number(length)
  if (start > as.size) return yield* invalid(file, `it ends within its header: it is truncated`)
  const bytes = yield* read(8, Number(length))
  const text = yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes),
    catch: () => invalid(file, "its header is not text in UTF-8: it is no safetensors file")
  })
  if (!text.startsWith("{")) return yield* invalid(file, "its header is no object: it is no safetensors file")
  const header = parseHeader(text, as.size - start)
  if (Result.isFailure(header)) return yield* new InvalidModelFile({ file, problems: [header.failure] })
  const { entries, metadata } = header.success
  const tensors = new Map(entries.map(({ begin, end, name, shape, type }): [string, StoredTensor] => [
    name,
    { name, type, shape, file: as.path, offset: start + begin, length: end - begin }
  ]))
  return { tensors, metadata, files: [as] }
})

/**
 * Refuses files that are not what they were when their headers were read. A mapped file that becomes shorter would end
 * the process at the next access (SIGBUS), so call it before each run.
 */
export const checkUnchanged = Effect.fnUntraced(function*(
  { files }: Pick<WeightSource, "files">
): Effect.fn.Return<void, InvalidModelFile, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  for (const file of files) {
    const now = yield* Effect.map(Effect.option(fs.stat(file.path)), Option.map((info) => sourceFile(file.path, info)))
    if (Option.isNone(now)) return yield* invalid(file.path, "it was removed after it was opened")
    if (now.value.size !== file.size || now.value.modified !== file.modified) {
      return yield* invalid(file.path, "it changed after it was opened; load the model again")
    }
  }
})
