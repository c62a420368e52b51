/**
 * From an infotext back to a request that makes the same image.
 *
 * `InfotextKeys` says which key fills which field, and which setting; `InfotextWarnings` names what was not taken.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"
import * as Infotext from "./Infotext.ts"
import { fieldRows, type Row, settingRows } from "./InfotextKeys.ts"
import * as InfotextWarnings from "./InfotextWarnings.ts"
import { InvalidProcessing } from "./InvalidProcessing.ts"
import type { Limits } from "./Limits.ts"
import { OptionsPatch, type OptionsSnapshot } from "./Options.ts"
import { decode, Img2Img, type Processing, Txt2Img } from "./Processing.ts"

export interface FromInfotextOptions extends Infotext.ParseOptions {
  /** The settings in force: those that the text agrees with are not overridden. */
  readonly opts?: OptionsSnapshot | undefined
  /** Whether the image's model is asked for, by its hash; off when left out. */
  readonly swapModel?: boolean | undefined
  readonly limits?: Limits | undefined
  /** Whether a sampler, scheduler or upscaler of this name exists. A name that does not is not taken from the text. */
  readonly isKnown?: InfotextWarnings.IsKnown | undefined
  /** What problems call the text: `the infotext` when left out. */
  readonly source?: string | undefined
}

/** A request that an infotext describes. */
export interface FromInfotext {
  readonly request: Processing
  /** What the text says and the request does not, in sentences. */
  readonly warnings: ReadonlyArray<string>
  /** What was taken, by its path in the request, as the text has it: `Steps: "20"`. */
  readonly taken: ReadonlyMap<string, string>
}

/**
 * The request that an infotext describes, with what could not be taken from the text. Values of `given` come before those
 * of the text.
 *
 * The request is a `Txt2Img`, or an `Img2Img` when `given` has that `_tag`; images are not part of a text and come from `given`,
 * as bytes or base64.
 *
 * Fails with `InvalidProcessing` that names every field whose value, from either side, cannot be used.
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
    const parsed = Infotext.parse(text, options)
    const said = Infotext.withDefaults(parsed)
    const overrides = given.override_settings ?? {}
    const inForce: Readonly<Record<string, unknown>> = { ...options.opts }
    const isGiven = (name: string) => given[name] !== undefined && given[name] !== null
    const isOverridden = (name: string) => Predicate.isObject(overrides) && Object.hasOwn(overrides, name)
    const isUnknown = ({ name, value }: Said) => InfotextWarnings.isUnknownName(name, value, options.isKnown)
    const fields = fieldsOf(said).filter((each) =>
      Object.hasOwn(known, each.name) && !isGiven(each.name) && each.value !== null && !isUnknown(each)
    )
    const settings = settingsOf(said).filter(({ name, problem, value }) =>
      Object.hasOwn(OptionsPatch.fields, name) && (problem !== undefined || inForce[name] !== value) &&
      (name !== "sd_model_checkpoint" || options.swapModel === true) && !isOverridden(name)
    )
    const decoded = yield* Effect.result(decode({
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      ...values(fields),
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

/** The request of `readInfotext` without its warnings. */
export const fromInfotext: (
  text: string,
  given?: Readonly<Record<string, unknown>>,
  options?: FromInfotextOptions
) => Effect.Effect<Processing, InvalidProcessing> = Effect.fn("Processing.fromInfotext")(
  function*(text, given, options) {
    return (yield* readInfotext(text, given, options)).request
  }
)

/** A value that a text has for a field of a request, or for a setting. */
export interface Said {
  /** Of the field or the setting. */
  readonly name: string
  /** As the request has it; `undefined` when it cannot be read. */
  readonly value: unknown
  /** As the text has it, shortened: `Steps: "20"`. */
  readonly written: string
  /** What it should be, when it cannot be read. */
  readonly problem?: string
}

/** What a text says of a request's fields, of every kind of request. */
export const fieldsOf = (said: Infotext.Fields): ReadonlyArray<Said> => fieldRows.flatMap(read(said))

/** What a text says of settings. */
export const settingsOf = (said: Infotext.Fields): ReadonlyArray<Said> => settingRows.flatMap(read(said))

const read = (said: Infotext.Fields) => ({ key, kind, name }: Row): ReadonlyArray<Said> => {
  const field = typeof key === "string" ? said[key] : key(said)
  if (field === undefined) return []
  const shown = JSON.stringify(field).slice(0, 100)
  const written = typeof key === "string" ? `${key.replace(/-[12]$/, "")}: ${shown}` : shown
  const value = kind.read(field)
  if (value !== undefined) return [{ name, value, written }]
  return kind.isOptional === true ? [] : [{ name, value, written, problem: kind.what }]
}

const values = (said: ReadonlyArray<Said>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(said.flatMap(({ name, problem, value }) => problem === undefined ? [[name, value]] : []))
