/**
 * Warnings about what an infotext says and the request made from it does not.
 *
 * Keys that are known to change the image have a sentence each. All other unused keys are listed in one sentence.
 */
import { nearest } from "../core/Text.ts"
import * as ExtraNetworks from "../prompt/ExtraNetworks.ts"
import type * as Infotext from "./Infotext.ts"
import { isOwn } from "./InfotextDefaults.ts"
import { fieldRows, settingRows, unitKey } from "./InfotextKeys.ts"
import { listed } from "./JsonInfotext.ts"
import { listedNetworks } from "./listedNetworks.ts"
import { OptionsPatch } from "./OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "./Processing.ts"

/** Which names of samplers, schedulers and upscalers are known. */
export interface IsKnown {
  readonly sampler: (name: string) => boolean
  readonly scheduler: (name: string) => boolean
  /** The names of all upscalers, in any case; absent where they are unknown. */
  readonly upscalers?: ReadonlyArray<string>
  /** Whether there is a VAE of this name; absent where that is unknown. */
  readonly vae?: (name: string) => boolean
}

const namedBy: Readonly<Record<string, "sampler" | "scheduler" | "upscaler">> = {
  sampler_name: "sampler",
  hr_sampler_name: "sampler",
  scheduler: "scheduler",
  hr_scheduler: "scheduler",
  hr_upscaler: "upscaler"
}

/** Whether a field of a request holds an unknown name. */
export const isUnknownName = (field: string, value: unknown, isKnown: IsKnown | undefined): boolean => {
  const kind = Object.hasOwn(namedBy, field) ? namedBy[field] : undefined
  if (kind === undefined || typeof value !== "string" || isKnown === undefined) return false
  if (kind !== "upscaler") return !isKnown[kind](value)
  const wanted = value.trim().toLowerCase()
  return isKnown.upscalers?.every((name) => name.toLowerCase() !== wanted) === true
}

/** Whether a text's value for a setting is a name that nothing has. */
export const isUnknownSetting = (setting: string, value: unknown, isKnown: IsKnown | undefined): boolean =>
  setting === "sd_vae" && isKnown?.vae !== undefined && !isNeutral(value) && !isKnown.vae(String(value))

/** Sentences about what a request lacks of the text that it was made from. */
export const warningsOf = (made: {
  readonly parsed: Infotext.Parsed
  readonly kind: "Txt2Img" | "Img2Img"
  /** Whether a field or setting of the request came from elsewhere. */
  readonly isGiven?: (name: string) => boolean
  readonly isKnown?: IsKnown | undefined
}): ReadonlyArray<string> => {
  const { isGiven = () => false, isKnown, kind, parsed } = made
  const { fields } = parsed
  const keys = Object.keys(fields).filter((key) => !(groups.some(({ isOf }) => isOf(key)) && isNeutral(fields[key])))
  const takenKeys = keysTaken(kind)
  const unknownNames = fieldRows.flatMap(({ key, name }) => {
    const value = typeof key === "string" ? fields[key] : undefined
    return typeof key === "string" && !isGiven(name) && isUnknownName(name, value, isKnown)
      ? [
        `Unknown ${namedBy[name]} ${quoted(value)} (${key}): the default is used.${
          nearestUpscaler(name, value, isKnown)
        }`
      ]
      : []
  })
  const grouped = groups.flatMap(({ field, isOf, sentence }) => {
    const found = keys.filter(isOf)
    return found.length === 0 || (field !== undefined && isGiven(field))
      ? []
      : [{ found, sentence: sentence(listed(found, 5)) }]
  })
  const explained = new Set([...grouped.flatMap(({ found }) => found), ...keys.filter((key) => unitKey.test(key))])
  const left = new Set(
    keys.filter((key) => !takenKeys.has(key) && !explained.has(key) && !silent.has(key))
      .map((key) => key.replace(/-[12]$/, ""))
  )
  const hasPrompt = fields["Prompt"] !== undefined || fields["Styles array"] !== undefined
  return [
    ...parsed.notes,
    ...(parsed.unreadable === undefined ? [] : [`No prompt was read: ${parsed.unreadable}.`]),
    ...(hasPrompt || isGiven("prompt") || parsed.unreadable !== undefined || isOwn(fields)
      ? []
      : ["The infotext has no prompt: the image is generated without one."]),
    ...noise(fields, isGiven),
    ...unknownNames,
    ...(isGiven("sd_vae") || !isUnknownSetting("sd_vae", fields["VAE"] ?? "None", isKnown) ? [] : [
      `The image was made with the VAE ${quoted(fields["VAE"])}, which is not in the models folders. The model's is ` +
      "used: the image will differ."
    ]),
    ...networks(fields),
    ...grouped.map(({ sentence }) => sentence),
    ...fromImage(fields, kind),
    ...(left.size === 0 ? [] : [`Ignored parameters of the infotext: ${listed([...left])}.`])
  ]
}

const nearestUpscaler = (field: string, value: unknown, isKnown: IsKnown | undefined): string => {
  const near = namedBy[field] === "upscaler" ? nearest(String(value), isKnown?.upscalers ?? []) : undefined
  return near === undefined ? "" : ` The nearest name is ${quoted(near)}.`
}

// Values that mean that the feature of their key was off.
const isNeutral = (value: unknown): boolean => ["None", "Full", "Automatic", "0", "0.0"].includes(String(value))

const quoted = (value: unknown): string => JSON.stringify(String(value).slice(0, 60))

// Keys that requests of this kind have a field or setting for, and those that others are derived from.
const keysTaken = (kind: "Txt2Img" | "Img2Img"): ReadonlySet<string> => {
  const fields = kind === "Img2Img" ? Img2Img.fields : Txt2Img.fields
  const rows = [
    ...fieldRows.filter(({ name }) => Object.hasOwn(fields, name)),
    ...settingRows.filter(({ name }) => Object.hasOwn(OptionsPatch.fields, name))
  ]
  return new Set([
    ...rows.flatMap(({ key }) => typeof key === "string" ? [key] : []),
    "First pass size-1",
    "First pass size-2",
    "Hypernet",
    "Hypernet strength"
  ])
}

/** Keys that name the model and program of the image, not its parameters. */
const silent: ReadonlySet<string> = new Set([
  "Model",
  "Model hash",
  "Hashes",
  // What dynamic prompts were drawn from: the prompts are what was drawn.
  "Template",
  "Negative Template",
  "Lora hashes",
  "TI hashes",
  "VAE hash",
  "Version",
  "User",
  "Denoising strength",
  "RNG"
])

const starts = (...beginnings: ReadonlyArray<string>) => (key: string): boolean =>
  beginnings.some((beginning) => key === beginning || key.startsWith(`${beginning} `))

interface Group {
  readonly isOf: (key: string) => boolean
  readonly sentence: (keys: string) => string
  /** The field that gives again what the text lacks. */
  readonly field?: string
}

const groups: ReadonlyArray<Group> = [
  {
    isOf: (key) => unitKey.test(key),
    field: "control_units",
    sentence: (keys) =>
      `ControlNet guided the image (${keys}). Give the image that it followed again (control_units, --control): ` +
      "without it the image will differ."
  },
  {
    isOf: (key) => /^ControlNet(?:-?\d+)?(?: |$)/.test(key) && !unitKey.test(key),
    sentence: (keys) =>
      `ControlNet guided the image (${keys}). It is written in a form that is not read: the image will differ.`
  },
  {
    isOf: starts("ADetailer"),
    sentence: (keys) => `ADetailer reworked details of the image (${keys}). Serena does not: the image will differ.`
  },
  {
    isOf: starts("AddNet"),
    sentence: (keys) => `LoRA networks acted on the image by an extension (${keys}). Name them by tags in the prompt.`
  },
  {
    isOf: starts("Hypernet"),
    sentence: (keys) => `A hypernetwork acted on the image (${keys}). Serena does not apply it: the image will differ.`
  },
  {
    isOf: starts("Civitai"),
    sentence: (keys) =>
      `Civitai's generator made the image (${keys}). Serena does not load the models and networks named ` +
      "there: the image will differ."
  },
  {
    isOf: starts("VAE Encoder", "VAE Decoder"),
    sentence: (keys) =>
      `Another method than the full VAE made the image (${keys}). Serena decodes and encodes in full: the image will ` +
      "differ."
  },
  {
    isOf: starts("Face restoration"),
    sentence: (keys) => `Faces were restored (${keys}). Serena does not restore faces: the image will differ.`
  }
]

// LoRAs that no tag of the prompts asks for.
const networks = (fields: Infotext.Fields): ReadonlyArray<string> => {
  const prompts = `${String(fields["Prompt"] ?? "")} ${String(fields["Hires prompt"] ?? "")}`
  const asked = new Set(
    ExtraNetworks.extract(prompts).networks.map(({ positional: [name = ""] }) => name.replaceAll(/[:,]/g, ""))
  )
  const others = listedNetworks(fields).loras.map(({ name }) => name).filter((name) => !asked.has(name))
  return others.length === 0
    ? []
    : [
      `LoRA networks acted on the image that no tag of its prompt names (${
        listed(others, 5)
      }): the image will differ. ` +
      "Add them as <lora:name:1>."
    ]
}

// Noise of a graphics card, or of an unknown generator.
const noise = (fields: Infotext.Fields, isGiven: (name: string) => boolean): ReadonlyArray<string> => {
  if (isGiven("randn_source") || fields["Seed"] === undefined || isOwn(fields)) return []
  const { RNG: source } = fields
  const remedy = "To imitate the noise of an NVIDIA card, set randn_source=NV."
  if (source === "CPU" || source === "NV") return []
  if (source === undefined || source === "GPU") {
    return [
      `The image's noise came from a graphics card (${
        source === undefined ? "no RNG in the infotext" : "RNG: GPU"
      }). Serena draws it on the processor: the image will differ. ${remedy}`
    ]
  }
  return [`Unknown random number generator (RNG: ${quoted(source)}): the image will differ. ${remedy}`]
}

const fromImage = (fields: Infotext.Fields, kind: "Txt2Img" | "Img2Img"): ReadonlyArray<string> => {
  if (kind === "Img2Img") return []
  const isHires = ["Hires upscale", "Hires upscaler", "Hires resize-1"].some((key) => fields[key] !== undefined)
  const isMasked = ["Mask mode", "Mask blur", "Masked content", "Inpaint area"].some((key) => fields[key] !== undefined)
  return (fields["Denoising strength"] === undefined || isHires) && !isMasked
    ? []
    : ["The image was generated from another image. Use img2img with that image to reproduce it."]
}
