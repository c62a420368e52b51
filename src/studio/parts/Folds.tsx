/**
 * The collapsible sections of the form: hires fix, variation seed and others.
 */
import { Fold } from "../controls/Fold.tsx"
import { NumberInput, SeedInput, Select, Switch } from "../controls/inputs.tsx"
import { models, upscalers } from "../state/catalogue.ts"
import { form } from "../state/form.ts"
import type { Kind } from "../state/ui.ts"

export const Hires = () => {
  const { enable_hr, hr_scale } = form.value
  return (
    <Fold
      id="hires"
      title="Hires fix"
      note={enable_hr ? `× ${hr_scale ?? "?"}` : "off"}
      fields={[
        "hr_scale",
        "hr_resize_x",
        "hr_resize_y",
        "hr_upscaler",
        "hr_second_pass_steps",
        "hr_denoising_strength"
      ]}
    >
      <Switch name="enable_hr" />
      <NumberInput name="hr_scale" slider={[1, 4]} step={0.05} />
      <Select
        name="hr_upscaler"
        choices={upscalers.value.map(({ name }) => ({ value: name, label: name }))}
      />
      <NumberInput name="hr_denoising_strength" slider={[0, 1]} step={0.01} />
      <NumberInput name="hr_second_pass_steps" placeholder="same as first pass" />
      <div class="row">
        <NumberInput name="hr_resize_x" placeholder="by scale" step={8} />
        <NumberInput name="hr_resize_y" placeholder="by scale" step={8} />
      </div>
    </Fold>
  )
}

export const Variation = () => {
  const { has_variation, subseed_strength } = form.value
  return (
    <Fold
      id="variation"
      title="Variation seed"
      note={has_variation ? `strength ${subseed_strength ?? "?"}` : "off"}
      fields={["subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h"]}
    >
      <Switch name="has_variation" />
      <SeedInput name="subseed" />
      <NumberInput name="subseed_strength" slider={[0, 1]} step={0.01} />
      <div class="row">
        <NumberInput name="seed_resize_from_w" placeholder="none" step={8} />
        <NumberInput name="seed_resize_from_h" placeholder="none" step={8} />
      </div>
    </Fold>
  )
}

export const MoreChoices = ({ kind }: { readonly kind: Kind }) => (
  <Fold
    id="more"
    title="More"
    note={form.value.tiling ? "tiling" : undefined}
    fields={["tiling", "eta", "refiner_checkpoint", "refiner_switch_at", "initial_noise_multiplier"]}
  >
    <Switch name="tiling" />
    <div class="row">
      <NumberInput name="eta" placeholder="setting" step={0.05} />
      {kind === "txt2img"
        ? null
        : <NumberInput name="initial_noise_multiplier" placeholder="setting" step={0.05} />}
    </div>
    {models.value.length < 2 && form.value.refiner_checkpoint === "" ? null : (
      <>
        <Select
          name="refiner_checkpoint"
          choices={[{ value: "", label: "None" }, ...models.value.map(({ name }) => ({ value: name, label: name }))]}
        />
        <NumberInput name="refiner_switch_at" slider={[0, 1]} step={0.05} />
      </>
    )}
  </Fold>
)
