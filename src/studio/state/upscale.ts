/**
 * The upscale tab: an image, how it is enlarged, and what came of it.
 */
import { signal } from "@preact/signals"
import { ApiFailure, isRecord, noAnswer } from "../api.ts"
import { upscalers } from "./catalogue.ts"
import { complain } from "./notices.ts"
import { kept } from "./persist.ts"
import { read, type Source } from "./source.ts"

export const upscaled = signal<{ readonly from: Source; readonly to: Source | undefined } | undefined>(undefined)
export const isUpscaling = signal(false)

export interface Enlargement {
  readonly upscaler: string
  readonly scale: number | null
}

export const enlargement = kept("upscale", (value): Enlargement => ({
  upscaler: isRecord(value) && typeof value["upscaler"] === "string" ? value["upscaler"] : "",
  scale: isRecord(value) && typeof value["scale"] === "number" ? value["scale"] : 2
}))

/** The upscalers of images; those of latents need a run. */
export const choices = () => upscalers.value.filter(({ latent, name }) => !latent && name !== "None")

export const takeForUpscale = async (blob: Blob, name: string): Promise<boolean> => {
  const from = await read(blob, name)
  if (from === undefined) return false
  upscaled.value = { from, to: undefined }
  return true
}

const base64 = (blob: Blob): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.addEventListener("load", () => resolve(String(reader.result).replace(/^[^,]*,/, "")))
    reader.addEventListener("error", () => reject(reader.error))
    reader.readAsDataURL(blob)
  })

const reasonOf = (body: unknown): string => {
  if (!isRecord(body)) return "The server refused the image."
  for (const name of ["errors", "detail", "error"]) {
    const text = body[name]
    if (typeof text === "string" && text !== "") return text
  }
  return "The server refused the image."
}

const post = async (body: unknown): Promise<unknown> => {
  const response = await fetch("sdapi/v1/extra-single-image", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  }).catch(() => undefined)
  if (response === undefined) throw new ApiFailure("ConnectionError", noAnswer)
  const answer: unknown = await response.json().catch(() => undefined)
  if (!response.ok) throw new ApiFailure("", reasonOf(answer))
  return answer
}

/** Enlarges the image of the tab. */
export const upscale = async () => {
  const from = upscaled.value?.from
  const { scale, upscaler } = enlargement.value
  if (from === undefined || scale === null || isUpscaling.value) return
  isUpscaling.value = true
  try {
    const answer = await post({
      image: await base64(from.blob),
      upscaling_resize: scale,
      upscaler_1: choices().some(({ name }) => name === upscaler) ? upscaler : choices()[0]?.name ?? "Lanczos"
    })
    const image = isRecord(answer) ? answer["image"] : undefined
    if (typeof image !== "string") throw new ApiFailure("", reasonOf(undefined))
    const bytes = Uint8Array.from(atob(image), (character) => character.charCodeAt(0))
    const file = new Blob([bytes], { type: "image/png" })
    const to = await read(file, from.name.replace(/(\.[a-z]+)?$/i, `-x${scale}.png`))
    if (to !== undefined && upscaled.value?.from === from) upscaled.value = { from, to }
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error))
  } finally {
    isUpscaling.value = false
  }
}
