/**
 * The values of keys that an infotext omits, and the behaviour of old versions.
 *
 * Each default is the value in effect when the key was omitted, which can differ from the setting's default today.
 */
import * as Struct from "effect/Struct"
import { fieldOf } from "../core/Field.ts"
import type { Size } from "../core/Geometry.ts"
import type { Field, Fields, Parsed } from "./Infotext.ts"
import { Options } from "./Options.ts"
import { OptionsSnapshot } from "./OptionsSnapshot.ts"

/** The values of absent keys. */
const absent: ReadonlyArray<readonly [key: string, value: Field]> = [
  ["Clip skip", "1"],
  ["Hires resize-1", 0],
  ["Hires resize-2", 0],
  ["Hires sampler", "Use same sampler"],
  ["Hires schedule type", "Use same scheduler"],
  ["Hires checkpoint", "Use same checkpoint"],
  ["Hires prompt", ""],
  ["Hires negative prompt", ""],
  ["Mask mode", "Inpaint masked"],
  ["Masked content", "original"],
  ["Inpaint area", "Whole picture"],
  ["Masked area padding", 32],
  ["RNG", "GPU"],
  ["Schedule type", "Automatic"],
  ["Schedule max sigma", 0],
  ["Schedule min sigma", 0],
  ["Schedule rho", 0],
  ["VAE Encoder", "Full"],
  ["VAE Decoder", "Full"],
  ["FP8 weight", "Disable"],
  ["Refiner switch by sampling steps", false]
]

/**
 * Whether a text is Serena's. Serena writes every setting that changes an image, unless it has its default value.
 */
export const isOwn = ({ Version: version }: Fields): boolean => String(version).startsWith("serena-")

const inAbsent = new Set(absent.map(([key]) => key))

/** The values of further absent keys in Serena's texts: the defaults of the settings. */
export const absentInOwn: Fields = Object.fromEntries(
  Struct.keys(Options.defaults).flatMap((name) => {
    const key = fieldOf(OptionsSnapshot, name)?.infotext
    // A text without a model says nothing of one. No upscaler is the empty text.
    return key === undefined || inAbsent.has(key) || name === "sd_model_checkpoint"
      ? []
      : [[key, Options.defaults[name] ?? ""]]
  })
)

/** Completes a text's fields with prompts and derived values. */
export const settle = (read: {
  readonly prompt: string
  readonly negativePrompt: string
  readonly fields: ReadonlyMap<string, Field>
  readonly backcompat: boolean
}): Pick<Parsed, "defaults" | "fields"> => {
  const hypernet = read.fields.get("Hypernet")
  const strength = read.fields.get("Hypernet strength") ?? "1.0"
  const prompt = read.prompt + (hypernet === undefined ? "" : `<hypernet:${String(hypernet)}:${String(strength)}>`)
  const fields = new Map<string, Field>([
    ...(prompt === "" ? [] : [["Prompt", prompt] as const]),
    ...(read.negativePrompt === "" ? [] : [["Negative prompt", read.negativePrompt] as const]),
    ...read.fields
  ])
  for (const [key, value] of firstPass(fields)) fields.set(key, value)
  if (read.backcompat) { for (const key of formerly(fields)) fields.set(key, true) }

  const attention = usesAttention(read.prompt) || usesAttention(read.negativePrompt)
  const defaults: ReadonlyArray<readonly [string, Field]> = [
    ["Prompt", ""],
    ["Negative prompt", ""],
    ...absent,
    ...(attention ? [["Emphasis", "Original"] as const] : [])
  ]
  return { fields: record(fields), defaults: record(defaults.filter(([key]) => !fields.has(key))) }
}

// So that keys such as `__proto__` become own fields, too.
const record = (entries: Iterable<readonly [string, Field]>): Fields => Object.fromEntries(entries)

// Before the hires scale existed, `Size` was that of the second pass.
const firstPass = (fields: ReadonlyMap<string, Field>): ReadonlyArray<readonly [string, number]> => {
  const [first, second] = [fields.get("First pass size-1"), fields.get("First pass size-2")]
  if (first === undefined || second === undefined) return []
  const size = { width: Number(fields.get("Size-1") ?? 512), height: Number(fields.get("Size-2") ?? 512) }
  const given = { width: Number(first), height: Number(second) }
  const pass = given.width === 0 || given.height === 0 ? computed(size) : given
  const sizes: ReadonlyArray<readonly [string, number]> = [
    ["Size-1", pass.width],
    ["Size-2", pass.height],
    ["Hires resize-1", size.width],
    ["Hires resize-2", size.height]
  ]
  return sizes.every(([, length]) => Number.isFinite(length)) ? sizes : []
}

// About 512 x 512 pixels in the same proportions, in steps of 64.
const computed = ({ height, width }: Size): Size => {
  const scale = Math.sqrt(512 * 512 / (width * height))
  const stepped = (length: number) => Math.ceil(scale * length / 64) * 64
  return { width: stepped(width), height: stepped(height) }
}

/** Settings for the behaviour before a version; each is true for texts of older versions. */
const formerly = (fields: ReadonlyMap<string, Field>): ReadonlyArray<string> => {
  const version = parseVersion(fields.get("Version"))
  if (version === undefined) return []
  const text = (key: string) => String(fields.get(key) ?? "")
  const before = (...release: readonly [major: number, minor: number, patch: number, post?: number]) =>
    compare(version, release) < 0
  return [
    ...(before(1, 6, 0) && text("Prompt").includes("[") ? ["Old prompt editing timelines"] : []),
    ...(before(1, 6, 0) && ["DDIM", "PLMS"].includes(text("Sampler")) ? ["Pad conds v0"] : []),
    ...(before(1, 7, 0, 225) ? ["Downcast alphas_cumprod"] : []),
    ...(before(1, 8, 0) && text("Refiner") !== "" ? ["Refiner switch by sampling steps"] : [])
  ]
}

/** Major, minor, patch, and commits since then; pre-releases precede releases. */
type Version = readonly [major: number, minor: number, patch: number, post?: number]

// `v1.7.0-225-gf3bc1a2`, as git describes it, is 225 commits after 1.7.0. Versions of other programs are ignored.
const parseVersion = (field: Field | undefined): Version | undefined => {
  if (typeof field !== "string" || field.length > 100) return undefined
  const match = versionPattern.exec(field.split("-", 2).join("-"))
  if (match === null) return undefined
  const [, major, minor = 0, patch = 0, post = 0, early] = match
  return [Number(major), Number(minor), Number(patch), early === undefined ? Number(post) : -1]
}

const versionPattern = new RegExp(
  [
    /^\s*v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.\d+)*/,
    /(?:-(\d+)|[-_.]?(a|alpha|b|beta|c|rc|pre|preview|dev)[-_.]?\d*)?(?:\+[\w.]+)?\s*$/
  ].map(({ source }) => source).join(""),
  "i"
)

const compare = (a: Version, b: Version): number => {
  for (let i = 0; i < 4; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

// Whether brackets change the weight of any words of a prompt.
const usesAttention = (prompt: string): boolean => {
  let pieces = 0
  // For each open bracket, the number of pieces before it.
  const open: { readonly [bracket in "(" | "["]: Array<number> } = { "(": [], "[": [] }
  for (const [token, weight] of prompt.matchAll(/\\.?|:\s*([+-]?[.\d]+)\s*\)|[()[\]:]|[^\\()[\]:]+/gs)) {
    if (token === "(" || token === "[") {
      open[token].push(pieces)
      continue
    }
    const closes = token === "]" ? "[" : token === ")" || isNumber(weight) ? "(" : undefined
    const before = closes === undefined ? undefined : open[closes].pop()
    if (before === undefined) pieces++
    else if (pieces > before && Number(weight ?? 1.1) !== 1) return true
  }
  return [...open["("], ...open["["]].some((before) => pieces > before)
}

const isNumber = (text: string | undefined): boolean => text !== undefined && Number.isFinite(Number(text))
