/**
 * The rows of a call of the denoiser: each image of a batch goes through it once for each part of the prompt, and once
 * for the negative prompt. Memory and time of a call grow with them, so they have limits of their own.
 */
import type { Limits } from "../processing/Limits.ts"
import type { Processing } from "../processing/Processing.ts"
import * as Prompt from "../prompt/Prompt.ts"
import type { Problems } from "./Problems.ts"
import type { PassPlan } from "./RunPlan.ts"

type Pass = Pick<PassPlan, "height" | "prompt" | "width">

/** What is wrong with the rows of both passes. A prompt that both share is named once. */
export const rowProblems = (
  { first, processing, second }: {
    readonly processing: Processing
    readonly first: Pass
    readonly second: Pass | undefined
  },
  limits: Limits
): Problems => {
  const wrong = passProblems(first, "prompt", processing.batch_size, limits)
  if (wrong.length > 0 || second === undefined) return wrong
  const isOwn = processing._tag === "Txt2Img" && processing.hr_prompt !== ""
  return passProblems(second, isOwn ? "hr_prompt" : "prompt", processing.batch_size, limits)
}

const passProblems = (
  { height, prompt, width }: Pass,
  path: "hr_prompt" | "prompt",
  batch: number,
  { max_row_pixels, max_rows }: Limits
): Problems => {
  // Comments are cut already.
  const parts = Prompt.countParts(prompt, { comments: false })
  const rows = batch * (parts + 1)
  const joined = parts === 1 ? "1 part" : `${parts} parts (AND)`
  const sum = `batch size ${batch} times ${joined} of the prompt and the negative prompt`
  const place = parts > 1 ? path : "batch_size"
  if (rows > max_rows) {
    return [{ path: place, message: `${sum} are ${rows} rows of a network call, over the limit of ${max_rows}` }]
  }
  const pixels = rows * width * height
  return pixels <= max_row_pixels ? [] : [{
    path: place,
    message: `${sum} at ${width}x${height} are ${pixels} pixels of a network call, over the limit of ${max_row_pixels}`
  }]
}
