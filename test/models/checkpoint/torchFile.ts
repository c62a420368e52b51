/**
 * Writes files as torch does: a zip archive of a pickle of protocol 2 and of storages that are not compressed.
 */
import { crc32 } from "node:zlib"

const u16 = (n: number) => Buffer.from(Uint16Array.of(n).buffer)
const u32 = (n: number) => Buffer.from(Uint32Array.of(n).buffer)

/** Instructions of pickles. */
export const op = {
  text: (value: string) => Buffer.concat([Buffer.from("X"), u32(Buffer.byteLength(value)), Buffer.from(value)]),
  int: (value: number) => Buffer.concat([Buffer.from("J"), u32(value)]),
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  tuple: (...items: ReadonlyArray<Uint8Array>) => Buffer.concat([Buffer.from("("), ...items, Buffer.from("t")]),
  call: (callee: Uint8Array, ...args: ReadonlyArray<Uint8Array>) =>
    Buffer.concat([callee, op.tuple(...args), Buffer.from("R")]),
  dict: (...items: ReadonlyArray<Uint8Array>) => Buffer.concat([Buffer.from("}("), ...items, Buffer.from("u")]),
  none: Buffer.from("N")
}

export const pickle = (value: Uint8Array) => Buffer.concat([Buffer.from([0x80, 2]), value, Buffer.from(".")])

export interface Saved {
  readonly key: string
  readonly storage: string
  readonly bytes: Uint8Array
  readonly offset?: number
  readonly shape: ReadonlyArray<number>
  readonly strides?: ReadonlyArray<number>
}

/** A tensor as torch pickles it. */
export const tensor = ({ bytes, key, offset = 0, shape, storage, strides }: Saved) => {
  const steps = strides ?? shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))
  const id = op.tuple(
    op.text("storage"),
    op.global("torch", storage),
    op.text(key),
    op.text("cpu"),
    op.int(bytes.length)
  )
  return op.call(
    op.global("torch._utils", "_rebuild_tensor_v2"),
    Buffer.concat([id, Buffer.from("Q")]),
    op.int(offset),
    op.tuple(...shape.map(op.int)),
    op.tuple(...steps.map(op.int)),
    Buffer.from([0x89]),
    op.call(op.global("collections", "OrderedDict"))
  )
}

/** An archive of entries that are not compressed, each filled up so that its bytes begin at a multiple of 64. */
export const zip = (entries: Readonly<Record<string, Uint8Array>>, method = 0): Buffer => {
  const parts: Array<Buffer> = []
  const directory: Array<Buffer> = []
  let at = 0
  for (const [name, bytes] of Object.entries(entries)) {
    const padding = (64 - (at + 30 + name.length + 4) % 64) % 64
    const extra = Buffer.concat([Buffer.from("FB"), u16(padding), Buffer.alloc(padding, "Z")])
    const sizes = [u32(crc32(bytes)), u32(bytes.length), u32(bytes.length), u16(name.length)]
    const head = [u16(0), u16(method), u32(0), ...sizes]
    const local = Buffer.concat([
      Buffer.from("PK\x03\x04"),
      u16(0),
      ...head,
      u16(extra.length),
      Buffer.from(name),
      extra
    ])
    const central = [
      Buffer.from("PK\x01\x02"),
      u16(0),
      u16(0),
      ...head,
      u16(0),
      u16(0),
      u16(0),
      u16(0),
      u32(0),
      u32(at)
    ]
    directory.push(Buffer.concat([...central, Buffer.from(name)]))
    parts.push(local, Buffer.from(bytes))
    at += local.length + bytes.length
  }
  const central = Buffer.concat(directory)
  const count = u16(directory.length)
  const end = [Buffer.from("PK\x05\x06"), u16(0), u16(0), count, count, u32(central.length), u32(at), u16(0)]
  return Buffer.concat([...parts, central, ...end])
}

/** A whole file with these tensors, by name. */
export const torchFile = (tensors: Readonly<Record<string, Saved>>, around = (state: Uint8Array) => state): Buffer => {
  const state = op.dict(...Object.entries(tensors).flatMap(([name, saved]) => [op.text(name), tensor(saved)]))
  return zip({
    "archive/data.pkl": pickle(around(state)),
    "archive/byteorder": Buffer.from("little"),
    ...Object.fromEntries(Object.values(tensors).map(({ bytes, key }) => [`archive/data/${key}`, bytes])),
    "archive/version": Buffer.from("3\n")
  })
}
