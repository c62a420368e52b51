/**
 * Folded sections of the form: hires fix, variation, and the rest.
 */
import { Fold } from "../controls/Fold.tsx"
import { NumberInput, Select, Switch } from "../controls/inputs.tsx"
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
      <Switch name="enable_hr" label="Make it larger in a second pass" />
      <NumberInput name="hr_scale" label="Scale" slider={[1, 4]} step={0.05} />
      <Select
        name="hr_upscaler"
        label="Upscaler"
        choices={upscalers.value.map(({ name }) => ({ value: name, label: name }))}
      />
      <NumberInput name="hr_denoising_strength" label="Denoising strength" slider={[0, 1]} step={0.01} />
      <NumberInput name="hr_second_pass_steps" label="Steps of the second pass" placeholder="as in the first" />
      <div class="row">
        <NumberInput name="hr_resize_x" label="Resize width to" placeholder="by scale" step={8} />
        <NumberInput name="hr_resize_y" label="Resize height to" placeholder="by scale" step={8} />
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
      <Switch name="has_variation" label="Mix in the noise of another seed" />
      <NumberInput name="subseed" label="Variation seed" hint="-1 is a new one each time" />
      <NumberInput name="subseed_strength" label="Variation strength" slider={[0, 1]} step={0.01} />
      <div class="row">
        <NumberInput name="seed_resize_from_w" label="Noise from width" placeholder="none" step={8} />
        <NumberInput name="seed_resize_from_h" label="Noise from height" placeholder="none" step={8} />
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
    <Switch name="tiling" label="Tiling" hint="The picture can be laid beside itself without seams." />
    <div class="row">
      <NumberInput name="eta" label="Eta" placeholder="setting" step={0.05} />
      {kind === "txt2img"
        ? null
        : <NumberInput name="initial_noise_multiplier" label="Noise multiplier" placeholder="setting" step={0.05} />}
    </div>
    {models.value.length < 2 && form.value.refiner_checkpoint === "" ? null : (
      <>
        <Select
          name="refiner_checkpoint"
          label="Refiner"
          choices={[{ value: "", label: "None" }, ...models.value.map(({ name }) => ({ value: name, label: name }))]}
        />
        <NumberInput name="refiner_switch_at" label="Switch at" slider={[0, 1]} step={0.05} />
      </>
    )}
  </Fold>
)
