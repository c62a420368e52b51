/**
 * Width and height.
 */
import { signal } from "@preact/signals"
import { described, ProblemOf } from "../controls/Field.tsx"
import { Icon } from "../controls/Icon.tsx"
import { readNumber } from "../controls/inputs.tsx"
import { modelSize, presets } from "../state/catalogue.ts"
import { labelOf } from "../state/fields.ts"
import { change, form } from "../state/form.ts"
import { source } from "../state/source.ts"

/** Width by height while the two are locked together. */
const ratio = signal<number | undefined>(undefined)

// The other side follows, on a multiple of 8.
const setSide = (name: "width" | "height", value: number | null) => {
  const shape = ratio.value
  if (shape === undefined || value === null) return change({ [name]: value })
  const other = Math.max(8, Math.round((name === "width" ? value / shape : value * shape) / 8) * 8)
  change(name === "width" ? { width: value, height: other } : { width: other, height: value })
}

const Side = ({ name, otherwise }: {
  readonly name: "width" | "height"
  /** What an empty field stands for, in pixels. */
  readonly otherwise: number
}) => (
  <div class="field">
    <label class="label" for={`field-${name}`}>{labelOf(name).label}</label>
    <input
      id={`field-${name}`}
      class="input"
      type="number"
      inputMode="numeric"
      step={8}
      value={form.value[name] ?? ""}
      placeholder={String(otherwise)}
      autoComplete="off"
      {...described(name)}
      onInput={({ currentTarget }) => setSide(name, readNumber(currentTarget.value))}
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
    onClick={() => {
      change({ width, height })
      if (ratio.value !== undefined && width !== null && height !== null) ratio.value = width / height
    }}
  >
    {label}
  </button>
)

export const Size = () => {
  const { height, width } = form.value
  const start = source.value
  const own = start ?? modelSize.value
  const isOwn = start !== undefined && width === null && height === null
  return (
    <fieldset class="field" aria-label="Size">
      <div class="size">
        <Side name="width" otherwise={own.width} />
        <button
          type="button"
          class="button quiet square"
          aria-label="Swap width and height"
          title="Swap width and height"
          onClick={() => {
            change({ width: height, height: width })
            if (ratio.value !== undefined) ratio.value = 1 / ratio.value
          }}
        >
          <Icon name="swap" />
        </button>
        <Side name="height" otherwise={own.height} />
        {isOwn
          ? (
            <span class="hint">
              Empty fields take the size of the init image, down to a multiple that the model makes.
            </span>
          )
          : null}
        <ProblemOf name="width" />
        <ProblemOf name="height" />
      </div>
      <div class="presets">
        <button
          type="button"
          class="chip"
          aria-pressed={ratio.value !== undefined}
          title="Changes of one side change the other"
          onClick={() => {
            ratio.value = ratio.value === undefined ? (width ?? own.width) / (height ?? own.height) : undefined
          }}
        >
          <Icon name="lock" />
          Keep the ratio
        </button>
        <Preset width={null} height={null} label={start === undefined ? "Model's size" : "Size of the init image"} />
        {presets.value.map((size) => (
          <Preset key={`${size.width}x${size.height}`} {...size} label={`${size.width} × ${size.height}`} />
        ))}
      </div>
    </fieldset>
  )
}
