/**
 * Plots: those of the form, and what the images of a run are in one.
 */
import * as Result from "effect/Result"
import { axesFor, axisNames, firstAxis, listOf, parted, type Plot, plotOf } from "../../processing/Plot.ts"
import { Img2Img, type Processing, Txt2Img } from "../../processing/Processing.ts"
import type { AskedRequest } from "../api.ts"
import { models, samplers, schedulers, styles, upscalers } from "./catalogue.ts"
import type { Form } from "./form.ts"
import type { Kind } from "./ui.ts"

export type AxisName = (typeof axisNames)[number]

const txt2img = Txt2Img.make({})
const img2img = Img2Img.make({ init_images: [new Uint8Array()] })

const templateOf = (kind: Kind): Processing => kind === "txt2img" ? txt2img : img2img

/** The axes that a tab has. */
export const axesOf = (kind: Kind) => axesFor(templateOf(kind)._tag)

/** An axis of the form: its label, empty for none, and its values as they are written. */
export const axisOf = (text: string, kind: Kind) => {
  const { axis, name, written } = parted(text, templateOf(kind)._tag)
  return { axis, label: axis?.label ?? name, values: written.replace(/^ /, "") }
}

/** An axis as the form has it. */
export const axisText = (label: string, values: string): string =>
  label === "" && values === "" ? "" : `${label}: ${values}`

/** The fields of a request for the axes of the form. */
export const askedAxes = (values: Pick<Form, AxisName>): Partial<Record<AxisName, string>> =>
  Object.fromEntries(
    axisNames.flatMap((name) => axisOf(values[name], "txt2img").label === "" ? [] : [[name, values[name]]])
  )

/** The plot that the form asks for, if any, and what is wrong with its axes. */
export const plotOfForm = (kind: Kind, values: Form) => {
  const { negative_prompt, prompt, styles } = values
  return plotOf({ ...templateOf(kind), prompt, negative_prompt, styles, ...askedAxes(values) })
}

/** All values of an axis, where the server has a list of them. */
export const allValues = (name: string): string => {
  const lists: Readonly<Record<string, () => ReadonlyArray<string>>> = {
    sampler_name: () => samplers.value.map(({ name }) => name),
    hr_sampler_name: () => samplers.value.map(({ name }) => name),
    scheduler: () => schedulers.value.map(({ label }) => label),
    sd_model_checkpoint: () => models.value.map(({ name }) => name),
    refiner_checkpoint: () => models.value.map(({ name }) => name),
    hr_upscaler: () => upscalers.value.map(({ name }) => name),
    styles: () => styles.value.map(({ name }) => name)
  }
  return listOf(lists[name]?.() ?? [])
}

// Runs are loaded again and again, and large plots are long to read.
const plots = new WeakMap<AskedRequest, { readonly plot: Plot | undefined }>()

const plotOfRequest = (request: AskedRequest): Plot | undefined => {
  if (firstAxis(request) === undefined) return undefined
  const known = plots.get(request)
  if (known !== undefined) return known.plot
  const read = plotOf(request._tag === "Txt2Img" ? request : { ...request, init_images: img2img.init_images })
  const plot = Result.isSuccess(read) ? read.success : undefined
  plots.set(request, { plot })
  return plot
}

/** A cell of a plot: its request, and its values in words. */
export interface Cell {
  readonly request: Processing
  readonly label: string
}

/** The cell of an image of a run, by the image's index; undefined without a plot. */
export const cellOf = (request: AskedRequest, index: number): Cell | undefined => {
  const plot = plotOfRequest(request)
  if (plot === undefined) return undefined
  const at = Math.floor(index / (request.batch_size * request.n_iter))
  const cell = plot.cells[at]
  const { x, y, z } = plot.labels
  const label = [x[at % x.length], y[Math.floor(at / x.length) % y.length], z[Math.floor(at / x.length / y.length)]]
    .filter((value) => value !== undefined && value !== "").join(", ")
  return cell && { request: cell, label }
}
