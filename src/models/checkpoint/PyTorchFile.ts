/**
 * Files that torch saved (`.ckpt`, `.pt`, `.pth`, `.bin`) since version 1.6: a zip archive of a pickle, which names the
 * tensors, and of their storages, which are not compressed and so can be mapped where they lie.
 *
 * Only the directory of the archive, the pickle and the entries' own headers are read. Nothing of the pickle runs.
 */
import * as Effect from "effect/Effect"
import type { InvalidModelFile } from "../../model/ModelError.ts"
import { invalid, type OpenFile } from "./openFile.ts"
import { type PickledTensor, PickleError, readPickle, type Value } from "./pickle.ts"
import { lengthOf, mostTensors, shownName } from "./safetensorsHeader.ts"
import { bytesOf, type ElementType, type StoredTensor, type WeightSource } from "./WeightSource.ts"

/** Whether a file that begins so is a zip archive. */
export const isZip = (head: Uint8Array): boolean =>
  head[0] === 0x50 && head[1] === 0x4b && head[2] === 0x03 && head[3] === 0x04

/** Most bytes of the pickle; Stable Diffusion's has about 0.3 MB. */
const largestPickle = 8 * 2 ** 20
const largestDirectory = 16 * 2 ** 20
const deepest = 8

const elementTypes: Readonly<Record<string, ElementType>> = {
  "torch.DoubleStorage": "F64",
  "torch.FloatStorage": "F32",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
  "torch.Float8_e4m3fnStorage": "F8_E4M3",
  "torch.Float8_e5m2Storage": "F8_E5M2",
  "torch.LongStorage": "I64",
  "torch.IntStorage": "I32",
  "torch.ShortStorage": "I16",
  "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8",
  "torch.BoolStorage": "BOOL"
}

/** An entry of the archive: where its own header begins, and how many bytes it has. */
interface Entry {
  readonly header: number
  readonly size: number
  /** Why it cannot be read where it lies. */
  readonly problem: string | undefined
}

/** The tensors of an open file. */
export const read = Effect.fnUntraced(function*(
  file: string,
  open: OpenFile
): Effect.fn.Return<WeightSource, InvalidModelFile> {
  const entries = yield* readDirectory(file, open)
  const pickled = [...entries.keys()].find((name) => /(^|\/)data\.pkl$/.test(name))
  const pickle = pickled === undefined ? undefined : entries.get(pickled)
  if (pickled === undefined || pickle === undefined) {
    return yield* invalid(file, "it is a zip archive, but torch did not save it; unpack it if it holds a model")
  }
  if (pickle.size > largestPickle) return yield* invalid(file, `its pickle has more than ${largestPickle} bytes`)
  const folder = pickled.slice(0, -"data.pkl".length)
  const order = entries.get(`${folder}byteorder`)
  if (order !== undefined && order.size < 16) {
    const text = new TextDecoder().decode(yield* open.read(yield* placeOf(file, open, order), order.size))
    if (text.trim() !== "little") return yield* invalid(file, `its numbers are in the byte order "${shownName(text)}"`)
  }
  const bytes = yield* open.read(yield* placeOf(file, open, pickle), pickle.size)
  const root = yield* Effect.try({
    try: () => readPickle(bytes),
    catch: (error) => invalid(file, error instanceof PickleError ? error.message : "its pickle cannot be read")
  })
  const found = yield* named(file, root)
  const places = new Map<string, number>()
  const tensors = new Map<string, StoredTensor>()
  for (const [name, tensor] of found) {
    const shown = shownName(name)
    const { key, type: className } = tensor.storage
    const type = elementTypes[className]
    if (type === undefined) return yield* invalid(file, `its element type "${shownName(className)}" is not read`, shown)
    const length = lengthOf(type, tensor.shape)
    const offset = tensor.offset * bytesOf[type]
    const entry = entries.get(`${folder}data/${key}`)
    if (length === undefined || !Number.isSafeInteger(offset)) {
      return yield* invalid(file, "it is too large", shown)
    }
    if (length > 0 && !isRowMajor(tensor)) {
      return yield* invalid(file, "its values do not lie in the order of its shape; save the file anew", shown)
    }
    if (entry === undefined) return yield* invalid(file, "the archive lacks its values", shown)
    if (offset + length > entry.size) return yield* invalid(file, "its values end after its storage", shown)
    const place = places.get(key) ?? (yield* placeOf(file, open, entry))
    places.set(key, place)
    tensors.set(name, { name, type, shape: tensor.shape, file: open.as.path, offset: place + offset, length })
  }
  return { tensors, metadata: {}, files: [open.as] }
})

const isRowMajor = ({ shape, strides }: PickledTensor): boolean => {
  let expected = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false
    expected *= shape[i] ?? 1
  }
  return true
}

/** Keys under which programs save the weights along with other things. */
const wrappers = ["state_dict"]

// Tensors by their names; those of nested dictionaries have the names of both, with a dot between.
const named = Effect.fnUntraced(function*(
  file: string,
  root: Value
): Effect.fn.Return<ReadonlyMap<string, PickledTensor>, InvalidModelFile> {
  const found = new Map<string, PickledTensor>()
  const wrapper = root instanceof Map ? wrappers.find((key) => root.get(key) instanceof Map) : undefined
  const start = root instanceof Map && wrapper !== undefined ? root.get(wrapper) : root
  const todo: Array<readonly [prefix: string, depth: number, value: Value]> = [["", 0, start ?? null]]
  let seen = 0
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const [prefix, depth, value] = next
    if (++seen > 4 * mostTensors || found.size > mostTensors) {
      return yield* invalid(file, `it has more than ${mostTensors} tensors`)
    }
    if (typeof value !== "object" || value === null) continue
    if (value instanceof Map) {
      if (depth === deepest) continue
      for (const [key, inner] of value) {
        if (typeof key !== "string" && typeof key !== "number") continue
        todo.push([prefix === "" ? String(key) : `${prefix}.${key}`, depth + 1, inner])
        if (todo.length > 4 * mostTensors) return yield* invalid(file, `it has more than ${mostTensors} values`)
      }
    } else if ("kind" in value && value.kind === "tensor") {
      if (prefix.length > 1024) return yield* invalid(file, "its name is too long", shownName(prefix))
      found.set(prefix, value)
    }
  }
  return new Map([...found].toReversed())
})

const endLength = 22
const longestComment = 0xffff

// The entries of the central directory, by name. All places are checked against the file.
const readDirectory = Effect.fnUntraced(function*(
  file: string,
  { as, read }: OpenFile
): Effect.fn.Return<ReadonlyMap<string, Entry>, InvalidModelFile> {
  const damaged = invalid(file, "its archive is damaged or truncated; download it again")
  const tailStart = Math.max(0, as.size - endLength - longestComment)
  const tail = Buffer.from(yield* read(tailStart, as.size - tailStart))
  const end = tail.lastIndexOf(Buffer.of(0x50, 0x4b, 0x05, 0x06))
  if (end === -1 || end + endLength > tail.length) return yield* damaged
  let count = tail.readUInt16LE(end + 10)
  let length = tail.readUInt32LE(end + 12)
  let start = tail.readUInt32LE(end + 16)
  // Files of more than 4 GB have a larger end record, which a locator before this one points to.
  if (count === 0xffff || length === 0xffffffff || start === 0xffffffff) {
    if (end < 20 || tail.readUInt32LE(end - 20) !== 0x07064b50) return yield* damaged
    const at = Number(tail.readBigUInt64LE(end - 12))
    if (at > as.size - 56) return yield* damaged
    const record = Buffer.from(yield* read(at, 56))
    if (record.readUInt32LE(0) !== 0x06064b50) return yield* damaged
    count = Number(record.readBigUInt64LE(32))
    length = Number(record.readBigUInt64LE(40))
    start = Number(record.readBigUInt64LE(48))
  }
  if (start + length > as.size || length > largestDirectory || count > 2 * mostTensors) return yield* damaged
  const directory = Buffer.from(yield* read(start, length))
  const entries = new Map<string, Entry>()
  for (let at = 0, left = count; left > 0; left--) {
    if (at + 46 > length || directory.readUInt32LE(at) !== 0x02014b50) return yield* damaged
    const nameLength = directory.readUInt16LE(at + 28)
    const extraLength = directory.readUInt16LE(at + 30)
    const next = at + 46 + nameLength + extraLength + directory.readUInt16LE(at + 32)
    if (next > length) return yield* damaged
    const name = directory.toString("utf8", at + 46, at + 46 + nameLength)
    const extra = directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength)
    const places = placesOf(directory.subarray(at, at + 46), extra)
    if (places === undefined || places.header + 30 + places.size > as.size || entries.has(name)) return yield* damaged
    entries.set(name, { ...places, problem: entryProblem(directory, at, places) })
    at = next
  }
  return entries
})

const entryProblem = (
  directory: Buffer,
  at: number,
  { packed, size }: { readonly packed: number; readonly size: number }
): string | undefined =>
  (directory.readUInt16LE(at + 8) & 1) === 1
    ? "its archive is encrypted"
    : directory.readUInt16LE(at + 10) !== 0 || packed !== size
    ? "its archive is compressed, so that its tensors cannot be read where they lie; save the file anew with torch"
    : undefined

// Size and header of an entry; those that 32 bits do not hold are in the extra field 1, in this order.
const placesOf = (
  fixed: Buffer,
  extra: Buffer
): { readonly size: number; readonly packed: number; readonly header: number } | undefined => {
  let size = fixed.readUInt32LE(24)
  let packed = fixed.readUInt32LE(20)
  let header = fixed.readUInt32LE(42)
  for (let at = 0; at + 4 <= extra.length;) {
    const length = extra.readUInt16LE(at + 2)
    if (extra.readUInt16LE(at) === 1) {
      let field = at + 4
      const large = (value: number): number => {
        if (value !== 0xffffffff || field + 8 > Math.min(extra.length, at + 4 + length)) return value
        field += 8
        return Number(extra.readBigUInt64LE(field - 8))
      }
      size = large(size)
      packed = large(packed)
      header = large(header)
    }
    at += 4 + length
  }
  return [size, packed, header].every(Number.isSafeInteger) ? { size, packed, header } : undefined
}

// Where an entry's bytes begin: after its own header, whose extra field torch fills up to align them.
const placeOf = Effect.fnUntraced(function*(
  file: string,
  { as, read }: OpenFile,
  { header, problem, size }: Entry
): Effect.fn.Return<number, InvalidModelFile> {
  if (problem !== undefined) return yield* invalid(file, problem)
  const own = Buffer.from(yield* read(header, 30))
  const place = header + 30 + own.readUInt16LE(26) + own.readUInt16LE(28)
  if (own.readUInt32LE(0) !== 0x04034b50 || place + size > as.size) {
    return yield* invalid(file, "its archive is damaged or truncated; download it again")
  }
  return place
})
