/**
 * The server's models, samplers and other choices, and its settings.
 */
import { computed, signal } from "@preact/signals"
import * as api from "../api.ts"

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

/** Size of the images that the model makes unless asked for another, in pixels. */
export const modelSize = computed(() => ({
  width: selectedModel.value?.width ?? 512,
  height: selectedModel.value?.height ?? 512
}))

/** Other sizes that suit the model: portrait, landscape, large. */
export const presets = computed(() => {
  const { height, width } = modelSize.value
  const long = Math.round(width * 1.5 / 16) * 16
  const limit = Math.min(limits.value?.max_width ?? 2048, limits.value?.max_height ?? 2048)
  const turned = width === height ? [[width, long], [long, width]] : [[height, width]]
  return [...turned, [width * 2, height * 2]].flatMap(([width = 0, height = 0]) =>
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

/** Asks for the models again. */
export const loadModels = async () => {
  models.value = await api.models()
}

/** Changes settings of the server. Throws an `ApiFailure` if they are invalid. */
export const setOptions = async (patch: Readonly<Record<string, unknown>>) => {
  options.value = await api.setOptions(patch)
  if ("sd_model_checkpoint" in patch) await loadModels()
}
