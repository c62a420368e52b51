/**
 * What a server stores of its settings besides `Options`, as an immutable value, and the transitions between its
 * states.
 *
 * `Settings` is the shell that reads and writes the file and applies what has an effect.
 */
import * as Option from "effect/Option"
import { isDeepStrictEqual } from "node:util"
import type { OptionsPatch, OptionsSnapshot } from "../../processing/OptionsSnapshot.ts"
import { divide, isActive, isExplanation, type SettingsPatch, type Values } from "./SettingsPatch.ts"

/** The setting that selects the model. */
export const checkpoint = "sd_model_checkpoint"

export interface SettingsState {
  /** What the file holds: the settings that clients have changed, and foreign ones. */
  readonly kept: Values
  /** The selected model as a client wrote it, and its name. */
  readonly model: { readonly written: string; readonly name: string } | undefined
}

export const empty: SettingsState = { kept: {}, model: undefined }

/**
 * The value of every setting: those of `Options`, and the webui's others.
 *
 * @param inactive The webui's settings without an effect, with their defaults.
 */
export const inForce = ({ kept }: SettingsState, inactive: Values, snapshot: OptionsSnapshot): Values => ({
  // The order of the webui's list: names keep the place of their first appearance.
  ...snapshot,
  ...inactive,
  ...kept,
  ...snapshot
})

/** The values that differ from those in force. */
export const changesOf = (values: Values, inForce: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([name, value]) => !isDeepStrictEqual(value, inForce[name])))

/** A change of settings, divided and validated. */
export interface SettingsChange {
  readonly divided: SettingsPatch
  /** The active half of the patch as `Options` has it, with the model by its name. */
  readonly active: OptionsPatch
}

/**
 * The state after a change. What changes nothing is not kept: clients also send back what they have read.
 *
 * @param current The value of every setting before the change.
 */
export const changed = (
  { kept, model }: SettingsState,
  { active, divided }: SettingsChange,
  current: Values
): SettingsState => {
  const written = divided.active[checkpoint]
  const selected = typeof written === "string" ? { written, name: active[checkpoint] ?? "" } : undefined
  return {
    kept: { ...kept, ...changesOf({ ...active }, current), ...changesOf(divided.inactive, current) },
    model: checkpoint in active ? selected : model
  }
}

/** What a file holds. */
export interface FileSettings {
  readonly divided: SettingsPatch
  /** Settings of other programs and versions, which stay in the file. */
  readonly foreign: Values
}

/** Divides what a file holds. */
export const ofFile = (values: Values, inactive: Values): FileSettings => {
  const read = Object.entries(values).filter(([name]) => !isExplanation(name))
  const isKnown = (name: string) => isActive(name) || Object.hasOwn(inactive, name)
  return {
    divided: divide(Object.fromEntries(read.filter(([name]) => isKnown(name))), inactive),
    foreign: Object.fromEntries(read.filter(([name]) => !isKnown(name)))
  }
}

/** The state that starts with what a file holds. */
export const loaded = (state: SettingsState, { divided, foreign }: FileSettings): SettingsState => ({
  ...state,
  kept: { ...foreign, ...divided.active, ...divided.inactive }
})

/** A patch with the model by its name, or with the problem that no model is known by what was written. */
export const withModel = (
  { active, inactive, problems }: SettingsPatch,
  model: Option.Option<string>,
  known: ReadonlyArray<string>
): SettingsPatch => {
  const { [checkpoint]: written, ...others } = active
  if (Option.isSome(model)) return { active: { ...others, [checkpoint]: model.value }, inactive, problems }
  const message = `model ${pythonText(written)} not found. Known: ${known.join(", ")}`
  return { active: others, inactive, problems: [...problems, { path: checkpoint, message }] }
}

const pythonText = (value: unknown): string =>
  typeof value === "string" ? `'${value}'` : JSON.stringify(value) ?? "None"

/** Settings with the model by its name. As in the webui, an unknown model leaves the present one selected. */
export const overriding = (active: Values, model: Option.Option<string>): Values => {
  const { [checkpoint]: _, ...others } = active
  const name = Option.getOrElse(model, () => "")
  return name === "" ? others : { ...active, [checkpoint]: name }
}

/** The settings without those that flags set: these go over the file, which keeps its values for a start without. */
export const unflagged = (values: Values, flagged: ReadonlySet<string>): Values =>
  Object.fromEntries(Object.entries(values).filter(([name]) => !flagged.has(name)))

/** The selected model as a client wrote it, if it is still the one of this name. */
export const writtenModel = ({ model }: SettingsState, name: string): string | undefined =>
  model?.name === name ? model.written : undefined
