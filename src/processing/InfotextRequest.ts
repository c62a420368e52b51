/**
 * Converts an infotext to a request for the same image.
 *
 * `InfotextKeys` maps keys to fields and settings; `InfotextWarnings` reports what was ignored.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"
import { mostUnits } from "./ControlUnit.ts"
import * as Infotext from "./Infotext.ts"
import * as InfotextDefaults from "./InfotextDefaults.ts"
import { fieldRows, type Row, settingRows } from "./InfotextKeys.ts"
import * as InfotextWarnings from "./InfotextWarnings.ts"
import { InvalidProcessing } from "./InvalidProcessing.ts"
import type { Limits } from "./Limits.ts"
import { OptionsPatch, type OptionsSnapshot } from "./OptionsSnapshot.ts"
import { decode, Img2Img, type Processing, Txt2Img } from "./Processing.ts"

export interface FromInfotextOptions extends Infotext.ParseOptions {
  /** The current settings: equal values of the text are not added to `override_settings`. */
  readonly opts?: OptionsSnapshot | undefined
  /** Whether the request selects the image's model by its hash; off by default. */
  readonly swapModel?: boolean | undefined
  readonly limits?: Limits | undefined
  /** Whether ControlNets that are not given are kept, though a text has no images for them; off by default. */
  readonly keepsUnits?: boolean | undefined
  /** Whether a sampler, scheduler or upscaler of this name exists. Unknown names are ignored with a warning. */
  readonly isKnown?: InfotextWarnings.IsKnown | undefined
  /** What problems call the text: `the infotext` by default. */
  readonly source?: string | undefined
}

/** A request that an infotext describes. */
export interface FromInfotext {
  readonly request: Processing
  /** Sentences about what the request lacks of the text. */
  readonly warnings: ReadonlyArray<string>
  /** The used values by their paths in the request, as written: `Steps: "20"`. */
  readonly taken: ReadonlyMap<string, string>
}

/**
 * The request that an infotext describes, with warnings about what was ignored. Values of `given` take precedence over
 * the text.
 *
 * The request is a `Txt2Img`, or an `Img2Img` when `given` has that `_tag`; images are not part of a text and
 * come from `given`, as bytes or base64.
 *
 * Fails with an `InvalidProcessing` that names every field with an invalid value, from the text or from `given`.
 */
export const readInfotext: (
  text: string,
  given?: Readonly<Record<string, unknown>>,
  options?: FromInfotextOptions
) => Effect.Effect<FromInfotext, InvalidProcessing> = Effect.fn("Processing.readInfotext")(
  function*(text, given = {}, options = {}) {
    const source = options.source ?? "the infotext"
    const kind = given._tag === "Img2Img" ? "Img2Img" : "Txt2Img"
    const known = kind === "Img2Img" ? Img2Img.fields : Txt2Img.fields
    const parsed = yield* Infotext.parsing(text, options)
    const said = Infotext.withDefaults(parsed)
    const overrides = given.override_settings ?? {}
    const inForce: Readonly<Record<string, unknown>> = { ...options.opts }
    const isGiven = (name: string) => given[name] !== undefined && given[name] !== null
    const isOverridden = (name: string) => Predicate.isObject(overrides) && Object.hasOwn(overrides, name)
    const isUnknown = ({ name, value }: Said) => InfotextWarnings.isUnknownName(name, value, options.isKnown)
    const all = fieldsOf(said)
    const fields = all.filter((each) =>
      Object.hasOwn(known, each.name) && each.name !== "control_units" && !isGiven(each.name) && each.value !== null &&
      !isUnknown(each)
    )
    const settings = settingsOf(said).filter(({ name, problem, value }) =>
      Object.hasOwn(OptionsPatch.fields, name) && (problem !== undefined || inForce[name] !== value) &&
      (name !== "sd_model_checkpoint" || options.swapModel === true) && !isOverridden(name) &&
      !InfotextWarnings.isUnknownSetting(name, value, options.isKnown)
    )
    const decoded = yield* Effect.result(decode({
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      ...values(fields),
      ...unitsOf(all, given["control_units"], options.keepsUnits),
      override_settings: Predicate.isObject(overrides) ? { ...values(settings), ...overrides } : overrides
    }, options.limits))
    const fromText = new Map([
      ...fields.map((each) => [each.name, each] as const),
      ...settings.map((each) => [`override_settings.${each.name}`, each] as const)
    ])
    const unreadable = parsed.unreadable !== undefined && !isGiven("prompt")
      ? [{ path: "prompt", message: `${source} gives none: ${parsed.unreadable}` }]
      : []
    const problems = [
      ...unreadable,
      ...[...fromText].flatMap(([path, { problem, written }]) =>
        problem === undefined ? [] : [{ path, message: `${source} says ${written}, which is not ${problem}` }]
      ),
      ...(Result.isFailure(decoded) ? decoded.failure.problems : []).map(({ message, path }): Problem => {
        const written = fromText.get(path)?.written
        return { path, message: written === undefined ? message : `${message}; ${source} says ${written}` }
      })
    ]
    if (Result.isFailure(decoded) || problems.length > 0) return yield* new InvalidProcessing({ problems })
    const warnings = InfotextWarnings.warningsOf({
      parsed,
      kind,
      isGiven: (name) => isGiven(name) || isOverridden(name),
      isKnown: options.isKnown
    })
    const taken = new Map([...fromText].map(([path, { written }]) => [path, written] as const))
    return { request: decoded.success, warnings, taken }
  }
)

/** Like `readInfotext`, without the warnings. */
export const fromInfotext: (
  text: string,
  given?: Readonly<Record<string, unknown>>,
  options?: FromInfotextOptions
) => Effect.Effect<Processing, InvalidProcessing> = Effect.fn("Processing.fromInfotext")(
  function*(text, given, options) {
    return (yield* readInfotext(text, given, options)).request
  }
)

/** A text's value for a field of a request, or for a setting. */
export interface Said {
  /** Name of the field or setting. */
  readonly name: string
  /** The request's value; `undefined` if the text's is invalid. */
  readonly value: unknown
  /** The text's value, shortened: `Steps: "20"`. */
  readonly written: string
  /** The expected type, if the value is invalid. */
  readonly problem?: string
}

/** A text's values for the fields of both kinds of request. */
export const fieldsOf = (said: Infotext.Fields): ReadonlyArray<Said> => fieldRows.flatMap(read(said))

/** A text's values for settings. In Serena's texts, an absent key has the value of the setting's default. */
export const settingsOf = (said: Infotext.Fields): ReadonlyArray<Said> =>
  settingRows.flatMap(read(InfotextDefaults.isOwn(said) ? { ...InfotextDefaults.absentInOwn, ...said } : said))

const read = (said: Infotext.Fields) => ({ key, kind, name }: Row): ReadonlyArray<Said> => {
  const field = typeof key === "string" ? said[key] : key(said)
  if (field === undefined) return []
  const shown = JSON.stringify(field).slice(0, 100)
  const written = typeof key === "string" ? `${key.replace(/-[12]$/, "")}: ${shown}` : shown
  const value = kind.read(field)
  if (value !== undefined) return [{ name, value, written }]
  return kind.isOptional === true ? [] : [{ name, value, written, problem: kind.what }]
}

/**
 * The units of a request with what a text says of those in the same places: what is given comes first. Units need their
 * images, so those of a text that are not given are left out, unless they are to be kept.
 */
export const unitsOf = (
  said: ReadonlyArray<Said>,
  given: unknown,
  keepsAll = false
): { readonly control_units?: ReadonlyArray<unknown> } => {
  const units = said.find(({ name }) => name === "control_units")?.value
  if (!Array.isArray(units)) return {}
  const own: ReadonlyArray<unknown> = Array.isArray(given) ? given : []
  const count = keepsAll ? Math.max(own.length, Math.min(units.length, mostUnits)) : own.length
  return count === 0 ? {} : {
    control_units: Array.from({ length: count }, (_, i) => {
      const unit = own[i] ?? {}
      return Predicate.isObject(unit) ? { ...units[i], ...unit } : unit
    })
  }
}

const values = (said: ReadonlyArray<Said>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(said.flatMap(({ name, problem, value }) => problem === undefined ? [[name, value]] : []))
