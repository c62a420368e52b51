/**
 * Clip skip: how many of the first text encoder's layers are left out, and whether its file has them.
 */
import * as Effect from "effect/Effect"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"

/**
 * The clip skip that infotexts may name: the setting's, or what the text encoder's file has layers for where that is
 * less.
 *
 * Models that the setting does not act on keep it in their infotexts, as in stable-diffusion-webui.
 */
export const actingClipSkip = Effect.fnUntraced(function*(
  { conditioner, textEncoders }: LoadedModel,
  opts: OptionsSnapshot
) {
  const { CLIP_stop_at_last_layers: asked } = opts
  return conditioner.clipSkip(opts) === 1
    ? asked
    : Math.max(1, Math.min(asked, yield* textEncoders[0].largestClipSkip))
})

/** Asking for more layers than a text encoder's file gives is reported, and does not end the run. */
export const clipSkipWarnings = Effect.fnUntraced(function*(
  { conditioner, name, textEncoders }: LoadedModel,
  opts: OptionsSnapshot
) {
  const clipSkip = conditioner.clipSkip(opts)
  if (clipSkip === 1) return []
  const largest = yield* textEncoders[0].largestClipSkip
  if (clipSkip <= largest) return []
  return [
    largest === 1
      ? `Clip skip was left out: the text encoder of ${name} gives no hidden states. Export it with them.`
      : `Clip skip ${clipSkip} is more than the text encoder of ${name} has layers for; ${largest} was used.`
  ]
})
