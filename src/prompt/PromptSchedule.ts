/**
 * Prompt editing: texts that change while an image is made (stable-diffusion-webui 1.10.1).
 *
 * `[before:after:when]` changes once, `[a|b]` at every step. `parse` reads a text into a tree that keeps attention as
 * it is written, `make` unrolls it into the texts of a run, and `entryAt` finds the one that a model call uses. Work
 * and memory of `parse` grow with the length of the text; `make` gives at most one text for each step, none longer than
 * the source.
 */
import * as Arr from "effect/Array"
import { atOnce, type Parts } from "../core/Work.ts"
import { skipWhiteSpace } from "./Characters.ts"

/** Text and things that change, side by side. No two texts are neighbours, and none is empty. */
export type Sequence = ReadonlyArray<string | Change | Alternation>

/** `[before:after:when]`. */
export interface Change {
  readonly _tag: "Change"
  readonly before: Sequence
  readonly after: Sequence
  readonly when: When
}

/** `[a|b|c]`: two options at least. */
export interface Alternation {
  readonly _tag: "Alternation"
  readonly options: ReadonlyArray<Sequence>
}

/** The point of a change: a share of all steps when it was written with a decimal point, else a step. */
export interface When {
  readonly value: number
  readonly isShare: boolean
}

/**
 * Reads a text. Brackets that fit nowhere are text, and so is the whole when a `|` stands outside of an alternation or
 * a backslash before nothing.
 */
export const parse = (text: string): Sequence => {
  const roles = findRoles(text)
  return roles === undefined ? sequence(text) : build(text, roles)
}

const sequence = (text: string): Sequence => text === "" ? [] : [text]

// What a character is to the tree.
const Role = { text: 0, openChange: 1, openAlternation: 2, separator: 3, close: 4 } as const

interface Bracket {
  readonly place: number
  readonly round: boolean
  readonly separators: Array<number>
  colons: number
  /** Holds a bracket that fits nowhere, and so fits nowhere itself. */
  broken: boolean
}

/**
 * Which characters belong to changes and alternations; undefined when the whole text is literal.
 *
 * Each bracket that can be matched has one partner, and a bracket around one that fits nowhere does not fit either: so
 * one pass with a stack finds them all. Where loose brackets make the original undecided (`[a:5]]`: its answer differs
 * from process to process), what can be a change is one.
 */
const findRoles = (text: string): Uint8Array | undefined => {
  const roles = new Uint8Array(text.length)
  let stack: Array<Bracket> = []
  const anyPipe = () => stack.some(({ colons, separators }) => separators.length > colons)
  for (let place = 0; place < text.length; place++) {
    const character = text[place]
    switch (character) {
      case "\\": {
        place++
        if (place === text.length || text[place] === "\n") return undefined
        break
      }
      case "(":
      case "[": {
        stack.push({ place, round: character === "(", separators: [], colons: 0, broken: false })
        break
      }
      case ":":
      case "|": {
        const inside = stack.at(-1)
        if (inside === undefined) {
          if (character === "|") return undefined
          break
        }
        inside.separators.push(place)
        if (character === ":") inside.colons++
        break
      }
      case ")":
      case "]": {
        const bracket = stack.pop()
        if (bracket === undefined) break
        if (bracket.round !== (character === ")")) {
          // Every bracket that is open holds this one, and so none of them fits.
          stack.push(bracket)
          if (anyPipe()) return undefined
          stack = []
          break
        }
        const role = roleOf(text, bracket, place)
        if (role === undefined) {
          if (bracket.separators.length > bracket.colons) return undefined
          const outer = stack.at(-1)
          if (outer !== undefined) outer.broken = true
        } else if (role !== Role.text) {
          roles[bracket.place] = role
          for (const separator of bracket.separators) roles[separator] = Role.separator
          roles[place] = Role.close
        }
        break
      }
    }
  }
  return anyPipe() ? undefined : roles
}

// Attention is text. Undefined for a bracket that fits nowhere.
const roleOf = (text: string, { broken, colons, place, round, separators }: Bracket, close: number) => {
  if (broken) return undefined
  const pipes = separators.length - colons
  if (round) return pipes === 0 && colons <= 1 ? Role.text : undefined
  if (colons === 0) return pipes === 0 ? Role.text : Role.openAlternation
  const last = separators.at(-1) ?? place
  return pipes === 0 && colons <= 2 && readWhen(text, last + 1, close) !== undefined ? Role.openChange : undefined
}

const whenText = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y

const readWhen = (text: string, from: number, to: number): When | undefined => {
  whenText.lastIndex = skipWhiteSpace(text, from, to)
  const digits = whenText.exec(text)?.[0]
  if (digits === undefined || skipWhiteSpace(text, whenText.lastIndex, to) !== to) return undefined
  return { value: Number(digits), isShare: digits.includes(".") }
}

const build = (text: string, roles: Uint8Array): Sequence => {
  interface Open {
    readonly isChange: boolean
    readonly parts: Array<Array<string | Change | Alternation>>
    lastSeparator: number
  }
  const top: Array<string | Change | Alternation> = []
  const stack: Array<Open> = []
  let current = top
  let from = 0
  const take = (place: number) => {
    if (place > from) current.push(text.slice(from, place))
    from = place + 1
  }
  for (let place = 0; place < text.length; place++) {
    const role = roles[place]
    if (role === Role.text) continue
    take(place)
    const open = stack.at(-1)
    if (role === Role.openChange || role === Role.openAlternation) {
      current = []
      stack.push({ isChange: role === Role.openChange, parts: [current], lastSeparator: place })
    } else if (open !== undefined && role === Role.separator) {
      open.lastSeparator = place
      current = []
      open.parts.push(current)
    } else if (open !== undefined) {
      stack.pop()
      current = stack.at(-1)?.parts.at(-1) ?? top
      const when = open.isChange ? readWhen(text, open.lastSeparator + 1, place) : undefined
      if (when === undefined) {
        current.push({ _tag: "Alternation", options: open.parts })
      } else {
        const [first = [], second = []] = open.parts
        current.push(
          open.parts.length === 2
            ? { _tag: "Change", before: [], after: first, when }
            : { _tag: "Change", before: first, after: second, when }
        )
      }
    }
  }
  take(text.length)
  return top
}

/** The text that reads back as a tree which `parse` gave. Numbers are written in their shortest form. */
export const print = (tree: Sequence): string => {
  const out: Array<string> = []
  // What is still to be written, the next on top.
  const stack: Array<string | Change | Alternation> = tree.toReversed()
  const push = (sequence: Sequence) => {
    for (let i = sequence.length - 1; i >= 0; i--) {
      const node = sequence[i]
      if (node !== undefined) stack.push(node)
    }
  }
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (typeof node === "string") {
      out.push(node)
    } else if (node._tag === "Change") {
      stack.push(`:${printWhen(node.when)}]`)
      push(node.after)
      if (node.before.length > 0) {
        stack.push(":")
        push(node.before)
      }
      stack.push("[")
    } else {
      stack.push("]")
      for (let i = node.options.length - 1; i >= 0; i--) {
        push(node.options[i] ?? [])
        stack.push(i === 0 ? "[" : "|")
      }
    }
  }
  return out.join("")
}

// A point in the digits makes a share of a number.
const printWhen = ({ isShare, value }: When): string => {
  if (!Number.isFinite(value)) return `${value < 0 ? "-" : ""}1${isShare ? "." : ""}e999`
  const sign = value < 0 || Object.is(value, -0) ? "-" : ""
  const [mantissa = "0", exponent = "0"] = Math.abs(value).toExponential().split("e")
  const [whole = "0", fraction = ""] = mantissa.split(".")
  const plain = String(Math.abs(value))
  if (isShare) {
    if (plain.includes("e")) return `${sign}${whole}.${fraction}e${Number(exponent)}`
    return plain.includes(".") ? `${sign}${plain}` : `${sign}${plain}.0`
  }
  if (!/[.e]/.test(plain)) return `${sign}${plain}`
  return `${sign}${whole}${fraction}e${Number(exponent) - fraction.length}`
}

/** How steps are counted. */
export interface ScheduleOptions {
  /** Model calls of the pass: see `totalSteps`. */
  readonly steps: number
  /** In a second pass (hires fix): the total of the first, after which steps are counted. */
  readonly firstPassSteps?: number | undefined
  /** Numbers below 1 are shares and all others steps, and the second pass counts like the first. */
  readonly useOldScheduling?: boolean | undefined
}

/** Steps as schedules count them: samplers that call the model twice a step have twice as many. */
export const totalSteps = (steps: number, sampler: { readonly secondOrder: boolean }): number =>
  sampler.secondOrder ? steps * 2 : steps

/** A text of a schedule, and the last step for which it holds. */
export interface ScheduleEntry {
  readonly until: number
  readonly text: string
  /** Place of `text` among the schedule's distinct texts. */
  readonly index: number
}

/** The texts of one prompt, or of one part of it, over a run. */
export interface PromptSchedule {
  /** What it was read from. */
  readonly source: string
  /** At least one, ascending; the last one ends with the run. */
  readonly entries: Arr.NonEmptyReadonlyArray<ScheduleEntry>
  /** Distinct texts, in the order of their first use. */
  readonly texts: ReadonlyArray<string>
  /** How many entries have each of the texts. */
  readonly repeats: ReadonlyArray<number>
}

/** Reads a text and unrolls it over the steps of a pass. */
export const make = (source: string, options: ScheduleOptions): PromptSchedule => atOnce(making(source, options))

/** `make` as work that stops after each text. */
export function* making(source: string, options: ScheduleOptions): Parts<PromptSchedule> {
  const { firstPassSteps, useOldScheduling: old = false } = options
  const second = firstPassSteps !== undefined && !old
  const steps = Math.max(1, Math.trunc(old ? firstPassSteps ?? options.steps : options.steps))
  const lastBefore = ({ isShare, value }: When): number => {
    const share = old ? value < 1 : isShare
    const from = second ? isShare ? 1 : firstPassSteps : 0
    return Math.min(steps, Math.trunc(share ? (value - from) * steps : value - from))
  }

  const tree = parse(source)
  yield
  const known = new Map<string, ScheduleEntry>()
  const repeats: Array<number> = []
  const entryAt = (until: number): ScheduleEntry => {
    const text = textAt(tree, until, lastBefore)
    // Equal texts are one string in memory.
    const entry = known.get(text) ?? { until, text, index: known.size }
    known.set(entry.text, entry)
    repeats[entry.index] = (repeats[entry.index] ?? 0) + 1
    return { ...entry, until }
  }
  const changing = changingSteps(tree, steps, lastBefore)
  const entries = Arr.of(entryAt(changing[0] ?? steps))
  for (const until of changing.length === 0 ? [] : [...changing.slice(1), steps]) {
    yield
    entries.push(entryAt(until))
  }
  return { source, entries, texts: Array.from(known.keys()), repeats }
}

// Steps before the last after which the text may be another one, ascending.
const changingSteps = (tree: Sequence, steps: number, lastBefore: (when: When) => number): ReadonlyArray<number> => {
  const found = new Set<number>()
  const stack: Array<Sequence> = [tree]
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    for (const node of next) {
      if (typeof node === "string") continue
      // An alternation has a text for every step: nothing else matters then.
      if (node._tag === "Alternation") return Array.from({ length: steps - 1 }, (_, i) => i + 1)
      const last = lastBefore(node.when)
      if (last >= 1 && last < steps) found.add(last)
      stack.push(node.before, node.after)
    }
  }
  return Array.from(found).sort((a, b) => a - b)
}

const textAt = (tree: Sequence, step: number, lastBefore: (when: When) => number): string => {
  const out: Array<string> = []
  const stack: Array<{ readonly sequence: Sequence; next: number }> = [{ sequence: tree, next: 0 }]
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const node = top.sequence[top.next++]
    if (node === undefined) {
      stack.pop()
    } else if (typeof node === "string") {
      out.push(node)
    } else if (node._tag === "Change") {
      stack.push({ sequence: step <= lastBefore(node.when) ? node.before : node.after, next: 0 })
    } else {
      const option = node.options[(step - 1) % node.options.length] ?? []
      stack.push({ sequence: option, next: 0 })
    }
  }
  return out.join("")
}

/**
 * The entry that a model call uses, calls counted from 0: the first whose last step is not below the call, so that the
 * first entry serves one call more than its steps. Calls beyond the end use the first entry again.
 */
export const entryAt = ({ entries }: PromptSchedule, call: number): ScheduleEntry => {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle] ?? entries[0]).until < call) low = middle + 1
    else high = middle
  }
  return entries[low] ?? entries[0]
}
