/**
 * The form's controls, each bound to one field.
 */
import type { ComponentChildren } from "preact"
import { useLayoutEffect, useRef } from "preact/hooks"
import { fromText, toJson } from "../../core/Seed.ts"
import { labelOf } from "../state/fields.ts"
import {
  change,
  type FlagField,
  type Form,
  form,
  type NumberField,
  type SeedField,
  type SeedText,
  type TextField
} from "../state/form.ts"
import { described, Field } from "./Field.tsx"

/** What a control shows and changes: a field of the form, or of one of its parts. */
export interface Bound<A> {
  /** The path of the field, by which its problem is found. */
  readonly name: string
  readonly label: string
  readonly hint?: string | undefined
  readonly value: A
  readonly set: (value: A) => void
}

interface Common {
  /** Replaces the field's description; null for no hint. */
  readonly hint?: string | null | undefined
}

/** Label and hint of a control. */
const shownOf = (name: keyof Form, hint: Common["hint"]) => {
  const described = labelOf(name)
  return { label: described.label, hint: hint === null ? undefined : hint ?? described.hint }
}

/** A number of the form, or null if the input holds none. */
export const readNumber = (text: string): number | null => {
  const value = Number(text)
  return text.trim() === "" || !Number.isFinite(value) ? null : value
}

interface NumberLook {
  readonly step?: number | undefined
  readonly placeholder?: string | undefined
  /** Bounds of a slider next to the number; no slider without them. */
  readonly slider?: readonly [from: number, to: number] | undefined
  /** Where the slider stands while there is no number: what acts then. */
  readonly otherwise?: number | undefined
  /** Shown next to the number. */
  readonly children?: ComponentChildren
}

export const NumberControl = (
  { children, of: { hint, label, name, set, value }, otherwise, placeholder, slider, step = 1 }: NumberLook & {
    readonly of: Bound<number | null>
  }
) => {
  const own = useRef<HTMLInputElement>(null)
  // What is typed stays as it is, `7.` on the way to `7.5` too: the text changes only when its number is another one.
  useLayoutEffect(() => {
    const { current } = own
    if (current !== null && readNumber(current.value) !== value) current.value = String(value ?? "")
  }, [value])
  const input = (
    <input
      id={`field-${name}`}
      ref={own}
      class="input"
      type="number"
      inputMode={step < 1 ? "decimal" : "numeric"}
      step={step}
      placeholder={placeholder ?? otherwise?.toString()}
      autoComplete="off"
      {...described(name, hint !== undefined)}
      onInput={({ currentTarget }) => set(readNumber(currentTarget.value))}
    />
  )
  if (slider === undefined) {
    return (
      <Field name={name} label={label} hint={hint}>
        {children === undefined ? input : <div class="with-button">{input}{children}</div>}
      </Field>
    )
  }
  const [from, to] = slider
  const at = Math.min(to, Math.max(from, value ?? otherwise ?? from))
  return (
    <Field name={name} label={label} hint={hint}>
      <div class="with-slider">
        <input
          class="slider"
          type="range"
          tabIndex={-1}
          aria-label={`${label}, slider`}
          min={from}
          max={to}
          step={step}
          value={at}
          style={{ "--done": `${(at - from) / (to - from) * 100}%` }}
          onInput={({ currentTarget }) => set(Number(currentTarget.value))}
        />
        {input}
      </div>
    </Field>
  )
}

/** A number of the form. */
export const NumberInput = ({ hint, name, ...look }: Common & NumberLook & { readonly name: NumberField }) => (
  <NumberControl
    of={{ name, ...shownOf(name, hint), value: form.value[name], set: (value) => change({ [name]: value }) }}
    {...look}
  />
)

/** A seed of the form, with all of its digits; null if the input is empty, and any other text as it is. */
export const readSeed = (text: string): SeedText | null => {
  const seed = fromText(text)
  return seed !== undefined ? toJson(seed) : text.trim() === "" ? null : text
}

/** A seed. An input for numbers would round large ones. */
export const SeedInput = ({ children, name }: {
  readonly name: SeedField
  /** Shown next to the seed. */
  readonly children?: ComponentChildren
}) => {
  const { hint, label } = shownOf(name, undefined)
  const input = (
    <input
      id={`field-${name}`}
      class="input"
      type="text"
      inputMode="numeric"
      value={form.value[name] ?? ""}
      autoComplete="off"
      {...described(name, hint !== undefined)}
      onInput={({ currentTarget }) => change({ [name]: readSeed(currentTarget.value) })}
    />
  )
  return (
    <Field name={name} label={label} hint={hint}>
      {children === undefined ? input : <div class="with-button">{input}{children}</div>}
    </Field>
  )
}

interface Choice {
  readonly value: string
  readonly label: string
}

export const SelectControl = ({ children, choices, of: { hint, label, name, set, value } }: {
  readonly of: Bound<string>
  readonly choices: ReadonlyArray<Choice>
  /** Shown next to the choice. */
  readonly children?: ComponentChildren
}) => {
  const all = choices.some((choice) => choice.value === value) ? choices : [...choices, { value, label: value }]
  const select = (
    <select
      id={`field-${name}`}
      class="input"
      value={value}
      {...described(name, hint !== undefined)}
      onChange={({ currentTarget }) => set(currentTarget.value)}
    >
      {all.map((choice) => (
        <option key={choice.value} value={choice.value} selected={choice.value === value}>{choice.label}</option>
      ))}
    </select>
  )
  return (
    <Field name={name} label={label} hint={hint}>
      {children === undefined ? select : <div class="with-button">{select}{children}</div>}
    </Field>
  )
}

/** A choice of the form. */
export const Select = ({ choices, hint, name }: Common & {
  readonly name: TextField
  readonly choices: ReadonlyArray<Choice>
}) => (
  <SelectControl
    of={{ name, ...shownOf(name, hint), value: form.value[name], set: (value) => change({ [name]: value }) }}
    choices={choices}
  />
)

/** A choice among a few values, all visible. */
export const Choices = ({ choices, hint: ownHint, name }: Common & {
  readonly name: TextField
  readonly choices: ReadonlyArray<Choice>
}) => {
  const { hint, label } = shownOf(name, ownHint)
  return (
    <fieldset class="field">
      <legend class="label unseen">{label}</legend>
      <span class="label" aria-hidden="true">{label}</span>
      <div class="choices">
        {choices.map((choice) => (
          <label key={choice.value}>
            <input
              type="radio"
              name={name}
              value={choice.value}
              checked={form.value[name] === choice.value}
              onChange={() => change({ [name]: choice.value })}
            />
            <span>{choice.label}</span>
          </label>
        ))}
      </div>
      {hint === undefined ? null : <span class="hint">{hint}</span>}
    </fieldset>
  )
}

export const SwitchControl = ({ of: { hint, label, set, value } }: { readonly of: Bound<boolean> }) => (
  <label class="switch">
    <input type="checkbox" role="switch" checked={value} onChange={({ currentTarget }) => set(currentTarget.checked)} />
    <span>
      {label}
      {hint === undefined ? null : <span class="hint">{hint}</span>}
    </span>
  </label>
)

/** A switch of the form. */
export const Switch = ({ hint, name }: Common & { readonly name: FlagField }) => (
  <SwitchControl
    of={{ name, ...shownOf(name, hint), value: form.value[name], set: (value) => change({ [name]: value }) }}
  />
)
