/**
 * The server's models, samplers and other choices, and its settings.
 */
import { computed, signal } from "@preact/signals"
import * as api from "../api.ts"
import { isRecord } from "../api.ts"
import { kept } from "./persist.ts"

export const models = signal<ReadonlyArray<api.Model>>([])
export const samplers = signal<ReadonlyArray<api.Sampler>>([])
export const schedulers = signal<ReadonlyArray<api.Scheduler>>([])
export const upscalers = signal<ReadonlyArray<api.Upscaler>>([])
export const styles = signal<ReadonlyArray<api.Style>>([])
export const limits = signal<api.Limits | undefined>(undefined)
export const options = signal<api.OptionsSnapshot | undefined>(undefined)
/** Why the lists could not be loaded. */
export const unavailable = signal<string | undefined>(undefined)

export const selectedModel = computed(() => models.value.find(({ selected }) => selected) ?? models.value[0])

// The default side of each model's images, learnt from its runs.
const learnt = kept("modelSizes", (value): Readonly<Record<string, number>> =>
  isRecord(value)
    ? Object.fromEntries(
      Object.entries(value).flatMap(([name, side]) => typeof side === "number" ? [[name, side]] : [])
    )
    : {})

export const learnSize = (side: number) => {
  const name = selectedModel.value?.name
  if (name !== undefined && learnt.value[name] !== side) learnt.value = { ...learnt.value, [name]: side }
}

/** Side of a square image that suits the model, in pixels. */
export const modelSide = computed(() => {
  const model = selectedModel.value
  return model === undefined ? 512 : learnt.value[model.name] ?? (model.embedded ? 128 : 512)
})

/** Sizes that suit the model: square, portrait, landscape, large. */
export const presets = computed(() => {
  const side = modelSide.value
  const long = Math.round(side * 1.5 / 16) * 16
  const limit = Math.min(limits.value?.max_width ?? 2048, limits.value?.max_height ?? 2048)
  return [[side, side], [side, long], [long, side], [side * 2, side * 2]].flatMap(([width = 0, height = 0]) =>
    width <= limit && height <= limit ? [{ width, height }] : []
  )
})

/** Loads all lists and settings from the server. */
export const load = async () => {
  try {
    const found = await Promise.all([
      api.models(),
      api.samplers(),
      api.schedulers(),
      api.upscalers(),
      api.styles(),
      api.limits(),
      api.options()
    ])
    ;[models.value, samplers.value, schedulers.value, upscalers.value, styles.value, limits.value, options.value] =
      found
    unavailable.value = undefined
  } catch (error) {
    unavailable.value = error instanceof Error ? error.message : String(error)
  }
}

/** Changes settings of the server. Throws an `ApiFailure` if they are invalid. */
export const setOptions = async (patch: Readonly<Record<string, unknown>>) => {
  options.value = await api.setOptions(patch)
  if ("sd_model_checkpoint" in patch) models.value = await api.models()
}
