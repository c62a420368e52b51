/**
 * The form of a tab, with the Generate button.
 */
import { Icon } from "../controls/Icon.tsx"
import { NumberInput, Select } from "../controls/inputs.tsx"
import { limits, load, samplers, schedulers, unavailable } from "../state/catalogue.ts"
import { alert } from "../state/problems.ts"
import { activities, forever, generate, submitting } from "../state/runs.ts"
import type { Kind } from "../state/ui.ts"
import { ControlNets } from "./ControlNets.tsx"
import { Hires, MoreChoices, Variation } from "./Folds.tsx"
import { Networks } from "./Networks.tsx"
import { PlotAxes } from "./Plot.tsx"
import { PromptField } from "./PromptField.tsx"
import { SavedSettings } from "./SavedSettings.tsx"
import { Seed } from "./Seed.tsx"
import { Size } from "./Size.tsx"
import { Inpainting, SourceSection, Strength } from "./SourceSection.tsx"
import { RunStrip } from "./Stage.tsx"
import { Styles } from "./Styles.tsx"

const Alert = () =>
  alert.value === undefined ? null : (
    <div class="alert" role="alert">
      <Icon name="alert" />
      <div>{alert.value}</div>
      <button
        type="button"
        class="button quiet low square"
        aria-label="Close this message"
        onClick={() => {
          alert.value = undefined
        }}
      >
        <Icon name="close" />
      </button>
    </div>
  )

const Unavailable = () =>
  unavailable.value === undefined ? null : (
    <div class="alert" role="alert">
      <Icon name="alert" />
      <div>{unavailable.value}</div>
      <button type="button" class="button low" onClick={() => void load()}>Try again</button>
    </div>
  )

export const Panel = ({ kind }: { readonly kind: Kind }) => (
  <form
    class="panel"
    aria-label="Request"
    noValidate
    onSubmit={(event) => {
      event.preventDefault()
      void generate()
    }}
  >
    <div class="panel-scroll">
      {kind === "img2img" ? <SourceSection kind="img2img" /> : null}
      <PromptField name="prompt" rows={3} />
      <PromptField name="negative_prompt" isShort rows={2} />
      <Styles />
      <div class="folds">
        <SavedSettings />
        <Networks />
      </div>
      {kind === "txt2img" ? null : <Strength />}
      <div class="row">
        <Select
          name="sampler_name"
          hint={null}
          choices={samplers.value.map(({ name }) => ({ value: name, label: name }))}
        />
        <Select
          name="scheduler"
          hint={null}
          choices={schedulers.value.map(({ label }) => ({ value: label, label }))}
        />
      </div>
      <NumberInput name="steps" hint={null} slider={[1, Math.min(100, limits.value?.max_steps ?? 100)]} />
      <NumberInput name="cfg_scale" slider={[1, 20]} step={0.5} />
      <Size />
      <Seed />
      <div class="row">
        <NumberInput name="batch_size" />
        <NumberInput name="n_iter" />
      </div>
      <div class="folds">
        {kind === "inpaint" ? <Inpainting /> : null}
        {kind === "txt2img" ? <Hires /> : null}
        <ControlNets kind={kind} />
        <Variation />
        <MoreChoices kind={kind} />
        <PlotAxes kind={kind} />
      </div>
    </div>
    <div class="panel-foot">
      <Unavailable />
      <Alert />
      <RunStrip />
      <div class="with-button">
        <button type="submit" class="button main" aria-disabled={submitting.value}>
          <Icon name="spark" />
          Generate
          <span class="kbd" aria-hidden="true">{isApple ? "⌘" : "Ctrl"} + Enter</span>
        </button>
        <button
          type="button"
          class="button square"
          aria-label="Go on forever"
          title="Generate again each time that a run has ended"
          aria-pressed={forever.value}
          onClick={() => {
            forever.value = !forever.value
            if (forever.value && activities.value.length === 0) void generate()
          }}
        >
          <Icon name="forever" />
        </button>
      </div>
    </div>
  </form>
)

const isApple = /Mac|iPhone|iPad/.test(navigator.userAgent)
