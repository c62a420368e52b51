/**
 * `serena demo`: the request of a first image, and the next steps.
 */
import * as Console from "effect/Console"
import type * as Effect from "effect/Effect"
import type { Processing } from "../processing/Processing.ts"
import type { ProcessedImage } from "../runner/Processed.ts"
import { commandName } from "./commandName.ts"

/** The demo's defaults. */
export const defaults: Partial<Processing> = {
  prompt: "a large yellow star on a black background",
  steps: 25,
  cfg_scale: 4,
  seed: 1
}

/** Prints where the images are, and two commands to try next. */
export const epilogue = (
  { prompt }: Processing,
  images: ReadonlyArray<ProcessedImage & { readonly path: string }>
): Effect.Effect<void> => {
  const command = commandName()
  const [first] = images
  return Console.error([
    "",
    `Generated "${prompt}":`,
    ...images.map(({ path }) => `  ${path}`),
    "",
    "Next, generate another image, or print the settings of this one:",
    `  ${command} txt2img "a pink heart on a cyan background" --steps 25 --cfg-scale 4`,
    ...(first === undefined ? [] : [`  ${command} info "${first.path}"`])
  ].join("\n"))
}
