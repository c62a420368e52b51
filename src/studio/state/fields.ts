/**
 * Labels and hints of the form and of the settings, from the descriptions of their fields.
 */
import { fieldOf } from "../../core/Field.ts"
import { ControlUnit } from "../../processing/ControlUnit.ts"
import { OptionsSnapshot } from "../../processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../processing/Processing.ts"
import type { Form } from "./form.ts"

export interface Label {
  readonly label: string
  readonly hint: string
}

/** Fields that only the form has: a switch, and one number for both directions. */
const own: Partial<Record<keyof Form, Label>> = {
  has_variation: { label: "Extra", hint: "Mixes in the noise of another seed." },
  mask_blur: { label: "Mask blur", hint: "Blur of the mask's edge." }
}

const requests = { fields: { ...Txt2Img.fields, ...Img2Img.fields } }

/** Label and hint of a field of the form. */
export const labelOf = (name: keyof Form): Label =>
  own[name] ?? (name === "hr_denoising_strength"
    ? described(Txt2Img, "denoising_strength")
    : described(requests, name))

/** Label and hint of a field of a ControlNet's unit. */
export const unitLabelOf = (name: keyof ControlUnit): Label => described(ControlUnit, name)

/** Label and hint of a setting. */
export const settingLabelOf = (name: keyof OptionsSnapshot): Label => described(OptionsSnapshot, name)

const described = (struct: Parameters<typeof fieldOf>[0], name: string): Label => {
  const field = fieldOf(struct, name)
  if (field === undefined) throw new Error(`The field ${name} has no description.`)
  return { label: field.title, hint: field.description }
}
