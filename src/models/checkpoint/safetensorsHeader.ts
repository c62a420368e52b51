/**
 * The header of a safetensors file: names, element types, shapes and places of its tensors.
 *
 * A header comes from strangers, so it is read by a scanner of exactly this grammar: a name that occurs twice, nesting,
 * or a number that JavaScript would round cannot get past it, and neither time nor memory grows faster than the text.
 * Format: https://huggingface.co/docs/safetensors (an object of names to `dtype`, `shape` and `data_offsets`, and
 * `__metadata__`, an object of texts). Data need not be aligned: it is mapped, or copied before it is used.
 */
import * as Result from "effect/Result"
import type { Problem } from "../../core/Problem.ts"
import { bytesOf, type ElementType } from "./WeightSource.ts"

/** Most bytes of a header. Full-size checkpoints have about 0.4 MB, the largest adapters' metadata a few MB. */
export const largestHeader = 32 * 2 ** 20

/**
 * Most tensors of a file. SDXL has 2,515, as many again with an average of its weights; each one becomes a memory
 * mapping, of which Linux grants a process 65,530.
 */
export const mostTensors = 20_000

/** Longest name of a tensor, in UTF-16 code units. */
const longestName = 1024

const mostDimensions = 8

/** A tensor as the header has it; `begin` and `end` count from the end of the header. */
export interface HeaderEntry {
  readonly name: string
  readonly type: ElementType
  readonly shape: ReadonlyArray<number>
  readonly begin: number
  readonly end: number
}

export interface Header {
  readonly entries: ReadonlyArray<HeaderEntry>
  readonly metadata: Readonly<Record<string, string>>
}

/** Stops the scanner, at a tensor by its name as the header has it; never leaves this module. */
class Malformed extends Error {
  readonly path: string
  constructor(path: string, message: string) {
    super(message)
    this.path = shownName(path)
  }
}

/** Reads a header, or says what is wrong with it. `dataLength` is how many bytes follow the header. */
export const parseHeader = (text: string, dataLength: number): Result.Result<Header, Problem> => {
  try {
    const header = scan(text)
    checkPlaces(header.entries, dataLength)
    return Result.succeed(header)
  } catch (error) {
    if (error instanceof Malformed) return Result.fail({ path: error.path, message: error.message })
    throw error
  }
}

/** A name as an error shows it: short, on one line. */
export const shownName = (name: string): string => {
  const plain = name.replaceAll(/\p{Cc}|\p{Zl}|\p{Zp}/gu, "?")
  return plain.length <= 120 ? plain : `${plain.slice(0, 117)}...`
}

const scan = (text: string): Header => {
  const read = scanner(text)
  const entries: Array<HeaderEntry> = []
  const names = new Set<string>()
  let metadata: Readonly<Record<string, string>> = {}
  read.members("", (name) => {
    if (name.length > longestName) throw new Malformed(name, `its name has more than ${longestName} characters`)
    if (names.has(name)) throw new Malformed(name, "it occurs twice")
    names.add(name)
    if (names.size > mostTensors) throw new Malformed("", `it has more than ${mostTensors} tensors`)
    if (name === "__metadata__") metadata = scanMetadata(read)
    else entries.push(scanEntry(read, name))
  })
  read.end()
  return { entries, metadata }
}

const scanMetadata = (read: Scanner): Readonly<Record<string, string>> => {
  const pairs = new Map<string, string>()
  read.members("__metadata__", (name) => {
    if (pairs.has(name)) throw new Malformed("__metadata__", `"${shownName(name)}" occurs twice`)
    pairs.set(name, read.string("__metadata__"))
  })
  // Not assigned one by one: a name may be `__proto__`.
  return Object.fromEntries(pairs)
}

const scanEntry = (read: Scanner, name: string): HeaderEntry => {
  let dtype: string | undefined
  let shape: ReadonlyArray<number> | undefined
  let places: ReadonlyArray<number> | undefined
  const once = (field: string, value: unknown) => {
    if (value !== undefined) throw new Malformed(name, `its ${field} occurs twice`)
  }
  read.members(name, (field) => {
    if (field === "dtype") {
      once(field, dtype)
      dtype = read.string(name)
    } else if (field === "shape") {
      once(field, shape)
      shape = read.integers(name, mostDimensions, "dimensions")
    } else if (field === "data_offsets") {
      once(field, places)
      places = read.integers(name, 2, "data_offsets")
    } else {
      throw new Malformed(name, `it has a field "${shownName(field)}", which no tensor has`)
    }
  })
  if (dtype === undefined || shape === undefined || places === undefined) {
    throw new Malformed(name, "it needs dtype, shape and data_offsets")
  }
  if (!isElementType(dtype)) throw new Malformed(name, `its element type "${shownName(dtype)}" is not supported`)
  const [begin, end] = places
  if (begin === undefined || end === undefined) throw new Malformed(name, "it needs two data_offsets")
  if (begin > end) throw new Malformed(name, `its data ends at ${end}, before it begins, at ${begin}`)
  const length = lengthOf(dtype, shape)
  if (length === undefined) throw new Malformed(name, `its shape [${shape.join(", ")}] is too large`)
  if (length !== end - begin) {
    throw new Malformed(name, `it has ${end - begin} bytes, but its shape and element type need ${length}`)
  }
  return { name, type: dtype, shape, begin, end }
}

export const isElementType = (text: string): text is ElementType => Object.hasOwn(bytesOf, text)

/** Bytes of a tensor; undefined where they are more than a number holds. */
export const lengthOf = (type: ElementType, shape: ReadonlyArray<number>): number | undefined => {
  if (shape.includes(0)) return 0
  let length = bytesOf[type]
  for (const size of shape) {
    length *= size
    if (!Number.isSafeInteger(length)) return undefined
  }
  return length
}

// The tensors fill the data from its first byte to its last, each beginning where another ends.
const checkPlaces = (entries: ReadonlyArray<HeaderEntry>, dataLength: number): void => {
  let at = 0
  for (const { begin, end, name } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (end > dataLength) {
      throw new Malformed(name, `its data ends ${end - dataLength} bytes after the file: the file is truncated`)
    }
    if (begin < at) throw new Malformed(name, "its data overlaps that of another tensor")
    if (begin > at) throw new Malformed(name, `${begin - at} bytes before its data belong to no tensor`)
    at = end
  }
  if (at < dataLength) throw new Malformed("", `${dataLength - at} bytes after the last tensor belong to none`)
}

type Scanner = ReturnType<typeof scanner>

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

const scanner = (text: string) => {
  let at = 0
  const skipSpace = () => {
    while (isSpace(text.charCodeAt(at))) at++
  }
  const next = (char: string): boolean => {
    skipSpace()
    if (text[at] !== char) return false
    at++
    return true
  }
  const expect = (char: string, path: string) => {
    if (!next(char)) throw new Malformed(path, `the header has no "${char}" where it should, at character ${at}`)
  }
  const string = (path: string): string => {
    expect("\"", path)
    const start = at
    for (;;) {
      const quote = text.indexOf("\"", at)
      if (quote === -1) throw new Malformed(path, `the header ends within a text that begins at character ${start}`)
      let backslashes = 0
      while (quote - 1 - backslashes >= start && text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes++
      at = quote + 1
      if (backslashes % 2 === 0) break
    }
    const raw = text.slice(start, at - 1)
    if (!raw.includes("\\")) return raw
    try {
      return String(JSON.parse(`"${raw}"`))
    } catch {
      throw new Malformed(path, `the header has a text with a wrong escape at character ${start}`)
    }
  }
  const integer = (path: string): number => {
    skipSpace()
    const start = at
    let value = 0
    for (;;) {
      const digit = text.charCodeAt(at) - 0x30
      // Past 2^53 the sum is rounded, and refused.
      if (!(digit >= 0 && digit <= 9) || at - start > 16) break
      value = value * 10 + digit
      at++
    }
    if (at === start || !Number.isSafeInteger(value) || (text[start] === "0" && at > start + 1)) {
      throw new Malformed(path, `the header has no whole number below 2^53 where it should, at character ${start}`)
    }
    return value
  }
  return {
    string,
    /** An object: `member` reads the value of each name. */
    members: (path: string, member: (name: string) => void) => {
      expect("{", path)
      if (next("}")) return
      do {
        const name = string(path)
        expect(":", path)
        member(name)
      } while (next(","))
      expect("}", path)
    },
    /** A list of at most `most` whole numbers. */
    integers: (path: string, most: number, what: string): ReadonlyArray<number> => {
      const values: Array<number> = []
      expect("[", path)
      if (next("]")) return values
      do {
        if (values.length === most) throw new Malformed(path, `it has more than ${most} ${what}`)
        values.push(integer(path))
      } while (next(","))
      expect("]", path)
      return values
    },
    /** Only padding may follow. */
    end: () => {
      skipSpace()
      if (at < text.length) throw new Malformed("", `the header goes on after its end, at character ${at}`)
    }
  }
}
