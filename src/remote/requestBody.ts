/**
 * A request in the words of stable-diffusion-webui's API.
 */
import * as Base64 from "effect/encoding/Base64"
import { toJson } from "../core/Seed.ts"
import type { ImagePlan, RunPlan } from "../planning/RunPlan.ts"
import { type ControlUnit, unitWords } from "../processing/ControlUnit.ts"
import { Options } from "../processing/Options.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"

type Fields = Readonly<Record<string, unknown>>

// Settings of this side: what becomes of the files, and what is shown meanwhile.
const ours =
  /^(?:samples_|grid_|n_rows$|save_|outdir_|directories_|return_grid$|jpeg_|webp_|live_previews|show_progress|control_net_)/

/**
 * What of the settings goes along: those that the request names, and those that are not as they come. A server that
 * never heard of a setting refuses it, so no other is sent.
 */
export const overridesOf = (opts: OptionsSnapshot, asked: object): Fields =>
  Object.fromEntries(
    Object.entries(opts).filter(([name, value]) =>
      !ours.test(name) && (Object.hasOwn(asked, name) || Reflect.get(Options.defaults, name) !== value) &&
      !(name === "sd_model_checkpoint" && value === "")
    )
  )

// A unit as an argument of the webui's script.
const unitArgument = ({ control_mode, image, mask, resize_mode, ...unit }: ControlUnit): Fields => ({
  ...unit,
  control_mode: unitWords.control_mode[control_mode],
  resize_mode: unitWords.resize_mode[resize_mode],
  // The images alone come back.
  save_detected_map: false,
  ...(image !== undefined && { image: Base64.encode(image) }),
  ...(mask !== undefined && { mask: Base64.encode(mask) })
})

/** The path and body that ask for one batch of what was planned. `taskId` is the name of the request there. */
export const requestBody = (
  plan: RunPlan,
  { batch: [first], opts, taskId }: {
    readonly batch: ReadonlyArray<ImagePlan>
    readonly opts: OptionsSnapshot
    readonly taskId: string
  }
): { readonly kind: "txt2img" | "img2img"; readonly body: Fields } => {
  const { height, processing, sampler, scheduler, width } = plan
  const { _tag, control_units, override_settings, ...asked } = processing
  const shared = {
    ...asked,
    n_iter: 1,
    seed: toJson(first?.seed ?? asked.seed),
    subseed: toJson(first?.subseed ?? asked.subseed),
    sampler_name: sampler.name,
    scheduler: scheduler.label,
    width,
    height,
    override_settings: overridesOf(opts, override_settings),
    override_settings_restore_afterwards: true,
    // A server without the script refuses its name.
    ...(control_units.length > 0 && { alwayson_scripts: { ControlNet: { args: control_units.map(unitArgument) } } }),
    // Files are saved on this side. Without saving, no grid comes before the images.
    save_images: false,
    send_images: true,
    force_task_id: taskId
  }
  if (processing._tag === "Txt2Img") return { kind: "txt2img", body: shared }
  const { init_images, mask } = processing
  return {
    kind: "img2img",
    body: {
      ...shared,
      init_images: init_images.map((bytes) => Base64.encode(bytes)),
      ...(mask !== undefined && { mask: Base64.encode(mask) })
    }
  }
}
