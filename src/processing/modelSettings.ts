import * as Struct from "effect/Struct"
import type { ModelSettings, OptionsSnapshot } from "./OptionsSnapshot.ts"

const names: Readonly<Record<keyof ModelSettings | "sd_model_checkpoint", true>> = {
  sd_model_checkpoint: true,
  sd_prediction_type: true,
  sd_text_encoders: true,
  sd_vae: true,
  sd_vae_overrides_per_model_preferences: true,
  unet_precision: true
}

/** What settings say of the model of a run and of the files that it is made of, as one text: the same for the same. */
export const modelSettings = (opts: OptionsSnapshot): string =>
  JSON.stringify(Struct.keys(names).map((name) => opts[name]))
