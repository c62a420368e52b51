/**
 * Names of files and folders from patterns such as `[seed]-[prompt_spaces]`, as stable-diffusion-webui 1.10.1 makes
 * them.
 *
 * Names are safe for any prompt: they have no separators, stay in their folder, fit into 255 bytes together
 * with number and extension, and none is a device of Windows.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { createHash } from "node:crypto"
import type { Seed } from "../core/Seed.ts"
import { pythonFloat } from "../core/Text.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"

/** What a file name can contain about an image. */
export interface FileNameFacts {
  readonly seed: Seed
  /** Seeds of the first and the last image of the request. */
  readonly seeds: { readonly first: Seed; readonly last: Seed }
  readonly steps: number
  readonly cfg: number
  /** In pixels. */
  readonly width: number
  readonly height: number
  readonly styles: ReadonlyArray<string>
  readonly sampler: string
  /** The schedule's label, such as `Karas`. */
  readonly scheduler: string
  readonly modelHash: string | undefined
  readonly modelName: string
  /** Milliseconds since 1970. */
  readonly now: number
  readonly prompt: string
  readonly promptNoStyles: string
  readonly negativePrompt: string
  /** From 1, in its batch. */
  readonly batchNumber: number
  readonly batchSize: number
  /** From 1, in the request; `undefined` when that is for a single image. */
  readonly generationNumber: number | undefined
  readonly clipSkip: number
  /** Of img2img and the second pass, 0 to 1. */
  readonly denoising: number | undefined
  readonly user: string | undefined
  /** File of a VAE that is not the model's own. */
  readonly vae: string | undefined
  /** Name of the file that the image came from, without extension. */
  readonly basename: string | undefined
  /** The pixels, `[height, width, channels]`, which `[image_hash]` is of. */
  readonly imageBytes: () => Uint8Array
  /** Most words of `[prompt_words]`. */
  readonly maxPromptWords: number
}

/** Pattern of a file's name that the settings ask for. A grid has its number only. */
export const patternFor = (opts: OptionsSnapshot, kind: "samples" | "grid"): string => {
  if (kind === "grid") return "[none]"
  if (opts.samples_filename_pattern !== "") return opts.samples_filename_pattern
  return opts.save_to_dirs ? "[seed]" : "[seed]-[prompt_spaces]"
}

/** Pattern of the folder in the folder; empty when the settings ask for none. */
export const directoryPatternFor = (opts: OptionsSnapshot, kind: "samples" | "grid"): string => {
  const wanted = kind === "grid" ? opts.grid_save_to_dirs : opts.save_to_dirs
  if (!wanted) return ""
  return opts.directories_filename_pattern === "" ? "[prompt_words]" : opts.directories_filename_pattern
}

/**
 * Name of a file, without number and extension; empty when nothing is left of it, and then a number has to do.
 *
 * A placeholder (in either case) becomes what is known, at most 128 characters of it. One without a value, such
 * as `[batch_number]` in a batch of one, goes with the text before it. Unknown ones stay as text.
 */
export const fileName = (pattern: string, about: FileNameFacts): string => wholeName(expand(pattern, about))

/**
 * Path of a folder in a folder, for patterns like `[date]/[model_name]`, its parts joined by `/`. Parts that are empty,
 * or nothing but dots, are left out.
 */
export const directory = (pattern: string, about: FileNameFacts): string =>
  expand(pattern, about).split(/[/\\]/).map(wholeName).filter((part) => part !== "").join("/")

const longestPart = 128

/** In bytes of UTF-8: the rest of 255 is for number, counter and extension. */
const longestName = 225

const expand = (pattern: string, about: FileNameFacts): string => {
  let expanded = ""
  let end = 0
  for (const match of pattern.matchAll(/\[([^[\]]+)\]/g)) {
    const before = pattern.slice(end, match.index)
    end = match.index + match[0].length
    const [, name = "", args = ""] = /^([^<]*)((?:<[^>]*>)*)$/.exec(match[1] ?? "") ?? []
    const placeholder = placeholders.get(name.toLowerCase())
    if (placeholder === undefined) {
      expanded += before + match[0]
      continue
    }
    const text = placeholder(about, [...args.matchAll(/<([^>]*)>/g)].map(([, arg = ""]) => arg))
    if (text !== undefined) expanded += before + text
  }
  return expanded + pattern.slice(end)
}

/** Returns its text, or `undefined` when it has no value. */
type Placeholder = (about: FileNameFacts, args: ReadonlyArray<string>) => string | undefined

const placeholders: ReadonlyMap<string, Placeholder> = new Map<string, Placeholder>([
  ["seed", ({ seed }) => String(seed)],
  ["seed_first", ({ batchSize, seed, seeds }) => String(batchSize === 1 ? seed : seeds.first)],
  ["seed_last", ({ batchSize, seeds }) => batchSize === 1 ? undefined : String(seeds.last)],
  ["steps", ({ steps }) => String(steps)],
  ["cfg", ({ cfg }) => pythonFloat(cfg)],
  ["width", ({ width }) => String(width)],
  ["height", ({ height }) => String(height)],
  ["styles", ({ styles }) => namePart(styles.filter((style) => style !== "None").join(", ") || "None")],
  ["sampler", ({ sampler }) => namePart(sampler)],
  ["scheduler", ({ scheduler }) => namePart(scheduler)],
  ["sampler_scheduler", ({ sampler, scheduler }) => namePart(`${sampler} ${scheduler}`)],
  ["model_hash", ({ modelHash }) => modelHash && namePart(modelHash)],
  ["model_name", ({ modelName }) => namePart(modelName)],
  ["date", ({ now }) => strftime("%Y-%m-%d", now)],
  ["datetime", ({ now }, [format, zone]) => namePart(strftime(format || "%Y%m%d%H%M%S", now, zone))],
  ["job_timestamp", ({ now }) => strftime("%Y%m%d%H%M%S", now)],
  ["prompt", ({ prompt }) => namePart(underlined(prompt))],
  ["prompt_spaces", ({ prompt }) => namePart(prompt)],
  ["prompt_words", ({ maxPromptWords, prompt }) => namePart(wordsOf(prompt).slice(0, maxPromptWords).join(" "))],
  ["prompt_no_styles", ({ promptNoStyles }) => namePart(promptNoStyles)],
  ["prompt_hash", ({ prompt }, args) => textHash(prompt, args)],
  ["negative_prompt_hash", ({ negativePrompt }, args) => textHash(negativePrompt, args)],
  ["full_prompt_hash", ({ negativePrompt, prompt }, args) => textHash(`${prompt} ${negativePrompt}`, args)],
  ["batch_number", ({ batchNumber, batchSize }) => batchSize === 1 ? undefined : String(batchNumber)],
  ["batch_size", ({ batchSize }) => String(batchSize)],
  ["generation_number", ({ generationNumber }) => generationNumber?.toString()],
  ["hasprompt", ({ prompt }, args) => namePart(underlined(foundIn(prompt, args)))],
  ["clip_skip", ({ clipSkip }) => String(clipSkip)],
  ["denoising", ({ denoising }) => denoising ? pythonFloat(denoising) : undefined],
  ["user", ({ user }) => user && namePart(user)],
  ["vae_filename", ({ vae }) => vae === undefined ? "NoneType" : namePart(stemOf(vae))],
  ["basename", ({ basename }) => namePart(basename || "img")],
  ["image_hash", ({ imageBytes }, args) => hash(imageBytes(), args, 64)],
  ["none", () => ""]
])

// Each name that the prompt holds, in lower case, or else what stands behind its bar.
const foundIn = (prompt: string, names: ReadonlyArray<string>): string => {
  const text = prompt.toLowerCase()
  return names.map((arg) => {
    const [name = "", otherwise = ""] = arg.split("|")
    return text.includes(name.toLowerCase()) ? name.toLowerCase() : otherwise
  }).join("")
}

const wordsOf = (prompt: string): ReadonlyArray<string> => {
  const words = prompt.split(/[\s!-/:-@[-`{-~]+/).filter((word) => word !== "")
  return words.length === 0 ? ["empty"] : words
}

const stemOf = (file: string): string => {
  const [first = "", second = ""] = (file.split(/[/\\]/).at(-1) ?? "").split(".")
  return first === "" ? second : first
}

/** SHA-256, the first digits of it: as many as the argument says. */
const hash = (bytes: Uint8Array | string, [digits = ""]: ReadonlyArray<string>, otherwise: number): string =>
  createHash("sha256").update(bytes).digest("hex").slice(0, /^\d+$/.test(digits) ? Number(digits) : otherwise)

const textHash = (text: string, args: ReadonlyArray<string>): string => hash(text.toWellFormed(), args, 8)

const weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December"
]

/** A time as Python's `strftime` writes it, in English. Codes that are not known here stay as text. */
const strftime = (format: string, now: number, zone = ""): string => {
  // The local offset at that moment is enough, and costs far less than the name of the local zone.
  const here = () => DateTime.zoneMakeOffset(new Date(now).getTimezoneOffset() * -60_000)
  const timeZone = zone === "" ? here() : Option.getOrElse(DateTime.zoneMakeNamed(zone), here)
  const { day, hour, millisecond, minute, month, second, weekDay, year } = DateTime.toParts(
    DateTime.makeZonedUnsafe(now, { timeZone })
  )
  const padded = (value: number, digits = 2) => String(value).padStart(digits, "0")
  const weekday = weekdays[weekDay] ?? ""
  const monthName = months[month - 1] ?? ""
  const codes: ReadonlyMap<string, string> = new Map([
    ["Y", padded(year, 4)],
    ["y", padded(year % 100)],
    ["m", padded(month)],
    ["d", padded(day)],
    ["H", padded(hour)],
    ["I", padded(hour % 12 === 0 ? 12 : hour % 12)],
    ["M", padded(minute)],
    ["S", padded(second)],
    ["f", padded(millisecond * 1000, 6)],
    ["j", padded((Date.UTC(year, month - 1, day) - Date.UTC(year, 0, 0)) / 86_400_000, 3)],
    ["a", weekday.slice(0, 3)],
    ["A", weekday],
    ["b", monthName.slice(0, 3)],
    ["B", monthName],
    ["p", hour < 12 ? "AM" : "PM"],
    ["%", "%"]
  ])
  return format.replace(/%(.)/g, (text, code: string) => codes.get(code) ?? text)
}

const underlined = (text: string): string => text.replaceAll(" ", "_")

/** Without characters that some file system forbids, and without spaces in front. */
const clean = (text: string): string => text.toWellFormed().replace(/[#<>:"/\\|?*\p{Cc}]/gu, "_").replace(/^ +/, "")

const trimEnd = (text: string): string => text.replace(/[ .]+$/, "")

/** What stands for a placeholder. */
const namePart = (text: string): string => {
  // Cuts before it counts: a character has at most two units.
  const enough = clean(text).slice(0, 2 * longestPart)
  return trimEnd([...enough].slice(0, longestPart).join(""))
}

/** A whole name, of what a pattern became. */
const wholeName = (text: string): string => {
  let name = ""
  let bytes = 0
  for (const character of clean(text)) {
    bytes += Buffer.byteLength(character)
    if (bytes > longestName) break
    name += character
  }
  name = trimEnd(name)
  return isDevice(name) ? `_${name}` : name
}

// Windows takes these for devices in every folder, also with an extension behind them.
const isDevice = (name: string): boolean => /^(con|prn|aux|nul|(com|lpt)[0-9¹²³]|conin\$|conout\$) *(\.|$)/i.test(name)
