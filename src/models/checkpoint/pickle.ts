/**
 * Reads the pickle of a file that torch saved, as data: tensors, texts, numbers, lists and dictionaries.
 *
 * A pickle is a program for a stack machine. This machine has no instruction that calls, imports or looks up anything:
 * of the functions that a pickle names, those that rebuild tensors and dictionaries are done here, those of libraries
 * that checkpoints of training name become opaque values, and any other ends the reading. The number of values is
 * bounded. Instructions, of protocol 2, which torch writes: Lib/pickletools.py in Python's sources.
 */

/** A storage that the pickle refers to: `count` elements in the archive's entry `data/KEY`. */
export interface Storage {
  readonly kind: "storage"
  /** Name of torch's class, `HalfStorage`. */
  readonly type: string
  readonly key: string
  readonly count: number
}

export interface PickledTensor {
  readonly kind: "tensor"
  readonly storage: Storage
  /** In elements. */
  readonly offset: number
  readonly shape: ReadonlyArray<number>
  readonly strides: ReadonlyArray<number>
}

export type Value =
  | null
  | boolean
  | number
  | string
  | ReadonlyArray<Value>
  | ReadonlyMap<Value, Value>
  | Storage
  | PickledTensor
  /** Names something of Python, which is never looked up. */
  | { readonly kind: "global"; readonly name: string }
  /** What is of no use here: an object of a library, bytes. */
  | { readonly kind: "opaque" }

/** Why a pickle is refused. */
export class PickleError extends Error {}

const mostValues = 500_000
const opaque: Value = { kind: "opaque" }

// Modules whose objects checkpoints of training hold in addition to the weights. Nothing of them runs.
const known = /^(torch|numpy|collections|_codecs|pytorch_lightning|lightning(_fabric)?|omegaconf|typing|argparse)\./
const plain = /^(builtins|__builtin__)\.(set|frozenset|dict|list|tuple|int|float|complex|bool|str|bytearray|object)$/

type Kind = "global" | "storage" | "tensor"

const isKind = <K extends Kind>(value: Value | undefined, kind: K): value is Extract<Value, { readonly kind: K }> =>
  typeof value === "object" && value !== null && "kind" in value && value.kind === kind

const isList = (value: unknown): value is ReadonlyArray<Value> => Array.isArray(value)

// Whole numbers from 0; empty where any is none.
const counts = (values: unknown): ReadonlyArray<number> =>
  isList(values) && values.every((each) => Number.isSafeInteger(each) && Number(each) >= 0) ? values.map(Number) : []

// What a call would return, were it made.
const resultOf = (name: string, args: ReadonlyArray<Value>): Value => {
  const first = args[0]
  switch (name) {
    case "torch._utils._rebuild_tensor_v2": {
      const [[offset], shape, strides] = [counts([args[1]]), counts(args[2]), counts(args[3])]
      const isWhole = isList(args[2]) && args[2].length === shape.length && shape.length <= 8
      if (!isKind(first, "storage") || offset === undefined || !isWhole || shape.length !== strides.length) break
      return { kind: "tensor", storage: first, offset, shape, strides }
    }
    case "torch._utils._rebuild_parameter":
      return first ?? opaque
    case "torch._tensor._rebuild_from_type_v2":
      return isKind(first, "global") && isList(args[2]) && first.name !== name ? resultOf(first.name, args[2]) : opaque
    case "collections.OrderedDict":
      return new Map()
    default:
      return opaque
  }
  throw new PickleError("it rebuilds a tensor from what is none")
}

const some = (value: Value | undefined): Value => {
  if (value === undefined) throw new PickleError("its pickle takes a value where there is none")
  return value
}

/** The value of a pickle. Throws `PickleError`. */
export const readPickle = (bytes: Uint8Array): Value => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const memo = new Map<number, Value>()
  const marks: Array<number> = []
  const stack: Array<Value> = []
  let made = 0
  let at = 0

  const take = (length: number): number => {
    const start = at
    if (length < 0 || length > bytes.length - at) throw new PickleError("its pickle ends too early")
    at += length
    return start
  }
  const text = (length: number): string => {
    const start = take(length)
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString("utf8")
  }
  const line = (): string => text(bytes.indexOf(0x0a, at) + 1 - at).slice(0, -1)
  const long = (length: number): number => {
    if (length > 8) throw new PickleError("its pickle has a number of more than 64 bits")
    const start = take(length)
    let value = 0n
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[start + i] ?? 0)
    return length === 0 ? 0 : Number(BigInt.asIntN(8 * length, value))
  }
  const push = (value: Value) => {
    if (++made > mostValues) throw new PickleError(`its pickle has more than ${mostValues} values`)
    stack.push(value)
  }
  const pop = (): Value => some(stack.pop())
  const popToMark = (): Array<Value> => {
    const mark = marks.pop()
    if (mark === undefined || mark > stack.length) throw new PickleError("its pickle lacks a mark")
    return stack.splice(mark)
  }
  const global = (module: string, name: string): Value => {
    const whole = `${module}.${name}`
    if (!known.test(whole) && !plain.test(whole)) {
      throw new PickleError(`its pickle names ${JSON.stringify(whole.slice(0, 80))}, code that weights do not need`)
    }
    return { kind: "global", name: whole }
  }
  const call = (args: Value, callee: Value): Value =>
    isKind(callee, "global") ? resultOf(callee.name, isList(args) ? args : []) : opaque
  const setItems = (items: ReadonlyArray<Value>) => {
    const dictionary = stack.at(-1)
    if (!(dictionary instanceof Map)) return
    for (let i = 0; i + 1 < items.length; i += 2) dictionary.set(items[i], items[i + 1])
  }
  const append = (items: ReadonlyArray<Value>) => {
    const list = stack.at(-1)
    if (Array.isArray(list)) { for (const item of items) list.push(item) }
  }
  const remembered = (key: number): Value => some(memo.get(key))
  const remember = (key: number) => {
    if (memo.size > mostValues) throw new PickleError(`its pickle has more than ${mostValues} values`)
    const value = pop()
    memo.set(key, value)
    stack.push(value)
  }
  const persistent = (id: Value): Value => {
    if (!isList(id) || id[0] !== "storage" || !isKind(id[1], "global")) return opaque
    const [, type, key, , count] = id
    const [size] = counts([count])
    if (typeof key !== "string" || size === undefined) throw new PickleError("its pickle has a storage without a place")
    return { kind: "storage", type: type.name, key, count: size }
  }
  const instructions: Readonly<Record<string, () => void>> = {
    "\x80": () => void take(1),
    "(": () => void marks.push(stack.length),
    "N": () => push(null),
    "\x88": () => push(true),
    "\x89": () => push(false),
    "J": () => push(view.getInt32(take(4), true)),
    "K": () => push(view.getUint8(take(1))),
    "M": () => push(view.getUint16(take(2), true)),
    "\x8a": () => push(long(view.getUint8(take(1)))),
    "G": () => push(view.getFloat64(take(8))),
    "X": () => push(text(view.getUint32(take(4), true))),
    "}": () => push(new Map()),
    "]": () => push([]),
    ")": () => push([]),
    "t": () => push(popToMark()),
    "\x85": () => push([pop()]),
    "\x86": () => push([pop(), pop()].toReversed()),
    "\x87": () => push([pop(), pop(), pop()].toReversed()),
    "a": () => append([pop()]),
    "e": () => append(popToMark()),
    "s": () => setItems([pop(), pop()].toReversed()),
    "u": () => setItems(popToMark()),
    "q": () => remember(view.getUint8(take(1))),
    "r": () => remember(view.getUint32(take(4), true)),
    "h": () => push(remembered(view.getUint8(take(1)))),
    "j": () => push(remembered(view.getUint32(take(4), true))),
    "c": () => push(global(line(), line())),
    "R": () => push(call(pop(), pop())),
    "\x81": () => push(call(pop(), pop())),
    "b": () => void pop(),
    "Q": () => push(persistent(pop()))
  }
  for (;;) {
    const code = String.fromCharCode(bytes[take(1)] ?? 0)
    if (code === ".") return pop()
    const instruction = Object.hasOwn(instructions, code) ? instructions[code] : undefined
    if (instruction === undefined) throw new PickleError(`its pickle has an instruction ${JSON.stringify(code)}`)
    instruction()
  }
}
