import type { LoadedModel } from "../model/LoadedModel.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"

/** A VAE that cannot be exchanged is reported, and does not end the run. */
export const vaeWarnings = (
  { isVaeFixed, name }: LoadedModel,
  { sd_vae }: Pick<OptionsSnapshot, "sd_vae">
): ReadonlyArray<string> =>
  isVaeFixed !== true || /^(automatic|none|)$/i.test(sd_vae.trim()) ? [] : [
    `The VAE ${sd_vae} was left out: the networks of ${name} were exported to ONNX together with a VAE of their own. ` +
    "To choose a VAE, use the .safetensors file or the diffusers folder of the model."
  ]
