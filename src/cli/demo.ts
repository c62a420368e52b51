/**
 * A first picture, and what to try after it.
 */
import * as Console from "effect/Console"
import type * as Effect from "effect/Effect"
import type { Processing } from "../processing/Processing.ts"
import type { ProcessedImage } from "../runner/Processed.ts"
import { commandName } from "./commandName.ts"

/** What the demo shows unless it is told otherwise. */
export const defaults: Partial<Processing> = {
  prompt: "a large yellow star on a black background",
  steps: 25,
  cfg_scale: 4,
  seed: 1
}

/** Tells where the pictures are, and two commands that lead on. */
export const epilogue = (
  { prompt }: Processing,
  images: ReadonlyArray<ProcessedImage & { readonly path: string }>
): Effect.Effect<void> => {
  const command = commandName()
  const [first] = images
  return Console.error([
    "",
    `Drawn: "${prompt}". Open it:`,
    ...images.map(({ path }) => `  ${path}`),
    "",
    "Next, draw something else, or see how this one was made:",
    `  ${command} txt2img "a pink heart on a cyan background" --steps 25 --cfg-scale 4`,
    ...(first === undefined ? [] : [`  ${command} info "${first.path}"`])
  ].join("\n"))
}
