/**
 * Width and height.
 */
import { described, ProblemOf } from "../controls/Field.tsx"
import { Icon } from "../controls/Icon.tsx"
import { readNumber } from "../controls/inputs.tsx"
import { modelSide, presets } from "../state/catalogue.ts"
import { labelOf } from "../state/fields.ts"
import { change, form } from "../state/form.ts"
import { source } from "../state/source.ts"
import { isKind, tab } from "../state/ui.ts"

const Side = ({ name }: { readonly name: "width" | "height" }) => (
  <div class="field">
    <label class="label" for={`field-${name}`}>{labelOf(name).label}</label>
    <input
      id={`field-${name}`}
      class="input"
      type="number"
      inputMode="numeric"
      step={8}
      value={form.value[name] ?? ""}
      placeholder={String(modelSide.value)}
      autoComplete="off"
      {...described(name)}
      onInput={({ currentTarget }) => change({ [name]: readNumber(currentTarget.value) })}
    />
  </div>
)

const Preset = ({ height, label, width }: {
  readonly width: number | null
  readonly height: number | null
  readonly label: string
}) => (
  <button
    type="button"
    class="chip"
    aria-pressed={form.value.width === width && form.value.height === height}
    onClick={() => change({ width, height })}
  >
    {label}
  </button>
)

// A side of the init image as a multiple of 16.
const fitting = (side: number) => Math.max(16, Math.round(side / 16) * 16)

export const Size = () => {
  const { height, width } = form.value
  const start = isKind(tab.value) && tab.value !== "txt2img" ? source.value : undefined
  return (
    <fieldset class="field" aria-label="Size">
      <div class="size">
        <Side name="width" />
        <button
          type="button"
          class="button quiet square"
          aria-label="Swap width and height"
          title="Swap width and height"
          onClick={() => change({ width: height, height: width })}
        >
          <Icon name="swap" />
        </button>
        <Side name="height" />
        <ProblemOf name="width" />
        <ProblemOf name="height" />
      </div>
      <div class="presets">
        <Preset width={null} height={null} label="Model's size" />
        {start === undefined
          ? null
          : <Preset width={fitting(start.width)} height={fitting(start.height)} label="Init image" />}
        {presets.value.filter(({ height, width }) => width !== height || width !== modelSide.value).map((size) => (
          <Preset key={`${size.width}x${size.height}`} {...size} label={`${size.width} × ${size.height}`} />
        ))}
      </div>
    </fieldset>
  )
}
