/**
 * The ControlNets of the form: for each unit the image that the result follows, and how.
 */
import { mostUnits, unitWords } from "../../processing/ControlUnit.ts"
import type * as api from "../api.ts"
import { ProblemOf } from "../controls/Field.tsx"
import { FileButton } from "../controls/FileButton.tsx"
import { Fold } from "../controls/Fold.tsx"
import { Icon } from "../controls/Icon.tsx"
import { type Bound, NumberControl, SelectControl, SwitchControl } from "../controls/inputs.tsx"
import { unitLabelOf } from "../state/fields.ts"
import { newest } from "../state/gallery.ts"
import { problems } from "../state/problems.ts"
import { source } from "../state/source.ts"
import type { Kind } from "../state/ui.ts"
import {
  add,
  changeUnit,
  choicesOfModel,
  dropImage,
  failure,
  follow,
  followLast,
  images,
  loadControlNets,
  maps,
  preprocess,
  preprocessors,
  remove,
  type Unit,
  units
} from "../state/units.ts"

interface Placed {
  readonly unit: Unit
  readonly place: number
}

type FieldsOf<A> = Exclude<{ [K in keyof Unit]: Unit[K] extends A ? K : never }[keyof Unit], "id">
type Look = { readonly label?: string; readonly hint?: string | null }

// What a control of a unit shows and changes.
const bound = <A extends string | boolean | number | null>({ place, unit }: Placed, name: FieldsOf<A>, value: A) => {
  const about = unitLabelOf(name)
  return ({ hint = null, label = about.label }: Look = {}): Bound<A> => ({
    name: `control_units.${place}.${name}`,
    label,
    hint: hint ?? undefined,
    value,
    set: (value) => changeUnit(unit.id, { [name]: value })
  })
}

const words = (labels: Readonly<Record<string, string>>) =>
  Object.entries(labels).map(([value, label]) => ({ value, label }))

const controlModes = words(unitWords.control_mode)
const resizeModes = words(unitWords.resize_mode)

const DetectedMap = ({ unit: { id, module } }: Pick<Placed, "unit">) => {
  const url = maps.value[id]?.url
  return url === undefined ? null : <img src={url} alt={`What ${module} makes of the image`} />
}

const Followed = ({ kind, place, unit }: Placed & { readonly kind: Kind }) => {
  const own = images.value[unit.id]
  const map = maps.value[unit.id]
  const name = `control_units.${place}.image`
  const take = (file: File) => void follow(unit.id, file, file.name)
  return (
    <div class="field">
      {own === undefined
        ? (
          <div class="drop low">
            <p class="small muted">
              {kind === "txt2img"
                ? "Drop an image anywhere, paste one here, or choose one to follow."
                : "The init image is followed, unless you drop an image anywhere, paste one here, or choose one."}
            </p>
            <div class="actions">
              <FileButton label="Choose a file" onFiles={([file]) => take(file)} />
              {newest.value === undefined
                ? null
                : (
                  <button type="button" class="button" onClick={() => void followLast(unit.id)}>
                    <Icon name="image" />
                    Use the last image
                  </button>
                )}
            </div>
          </div>
        )
        : (
          <div class="source">
            <div class="pair">
              <img src={own.url} alt={`Image to follow, ${own.name}`} />
              <DetectedMap unit={unit} />
            </div>
            <div class="source-bar">
              <span class="small muted">{own.width} × {own.height}</span>
              <FileButton label="Replace" onFiles={([file]) => take(file)} isQuiet />
              <button
                type="button"
                class="button quiet low square"
                aria-label="Remove the image"
                title="Remove the image"
                onClick={() => dropImage(unit.id)}
              >
                <Icon name="close" />
              </button>
            </div>
          </div>
        )}
      {own === undefined && map?.url !== undefined
        ? (
          <div class="source">
            <DetectedMap unit={unit} />
          </div>
        )
        : null}
      {map !== undefined && map.url === undefined
        ? <p class="hint" role="status">The preprocessor works.</p>
        : null}
      <ProblemOf name={name} />
    </div>
  )
}

const Threshold = ({ name, of, threshold }: {
  readonly name: "threshold_a" | "threshold_b"
  readonly of: Placed
  readonly threshold: api.Preprocessor["threshold_a"]
}) =>
  threshold === null ? null : (
    <NumberControl
      of={bound(of, name, of.unit[name])({ label: threshold.label })}
      slider={[threshold.minimum, threshold.maximum]}
      step={threshold.step}
      otherwise={threshold.value}
    />
  )

const Preprocessing = ({ kind, ...placed }: Placed & { readonly kind: Kind }) => {
  const { unit } = placed
  const chosen = preprocessors.value.find(({ name }) => name === unit.module)
  const hasImage = unit.id in images.value || (kind !== "txt2img" && source.value !== undefined)
  return (
    <>
      <SelectControl
        of={bound(placed, "module", unit.module)()}
        choices={preprocessors.value.map(({ label, name }) => ({ value: name, label }))}
      >
        <button
          type="button"
          class="button"
          disabled={!hasImage}
          onClick={() => void preprocess(unit.id)}
        >
          Run preprocessor
        </button>
      </SelectControl>
      {chosen === undefined ? null : (
        <>
          {chosen.resized ? <SwitchControl of={bound(placed, "pixel_perfect", unit.pixel_perfect)()} /> : null}
          {chosen.resized && !unit.pixel_perfect
            ? (
              <NumberControl
                of={bound(placed, "processor_res", unit.processor_res)()}
                slider={[64, 2048]}
                step={8}
                otherwise={512}
              />
            )
            : null}
          <Threshold name="threshold_a" of={placed} threshold={chosen.threshold_a} />
          <Threshold name="threshold_b" of={placed} threshold={chosen.threshold_b} />
        </>
      )}
    </>
  )
}

const UnitCard = ({ kind, ...placed }: Placed & { readonly kind: Kind }) => {
  const { place, unit } = placed
  const title = `ControlNet ${place + 1}`
  return (
    <section class="unit" aria-label={title} data-unit={unit.id}>
      <div class="field-head">
        <SwitchControl of={bound(placed, "enabled", unit.enabled)({ label: title })} />
        <button
          type="button"
          class="button quiet low square"
          aria-label={`Remove ${title}`}
          title={`Remove ${title}`}
          onClick={() => remove(unit.id)}
        >
          <Icon name="clear" />
        </button>
      </div>
      <Followed kind={kind} {...placed} />
      <SelectControl of={bound(placed, "model", unit.model)()} choices={choicesOfModel()} />
      <Preprocessing kind={kind} {...placed} />
      <NumberControl of={bound(placed, "weight", unit.weight)()} slider={[0, 2]} step={0.05} />
      <div class="row">
        <NumberControl
          of={bound(placed, "guidance_start", unit.guidance_start)({ label: "Start (0 to 1)" })}
          step={0.05}
        />
        <NumberControl of={bound(placed, "guidance_end", unit.guidance_end)({ label: "End (0 to 1)" })} step={0.05} />
      </div>
      <SelectControl of={bound(placed, "control_mode", unit.control_mode)()} choices={controlModes} />
      <SelectControl of={bound(placed, "resize_mode", unit.resize_mode)()} choices={resizeModes} />
    </section>
  )
}

export const ControlNets = ({ kind }: { readonly kind: Kind }) => {
  const active = units.value.filter(({ enabled }) => enabled).length
  return (
    <Fold
      id="controlnet"
      title="ControlNet"
      note={active === 0 ? "off" : `${active} active`}
      fields={Object.keys(problems.value).filter((name) => name.startsWith("control_units"))}
      onOpen={() => void loadControlNets()}
    >
      {failure.value === "" ? null : <p class="hint" role="alert">{failure.value}</p>}
      {units.value.map((unit, place) => <UnitCard key={unit.id} kind={kind} unit={unit} place={place} />)}
      <ProblemOf name="control_units" />
      {units.value.length < mostUnits
        ? (
          <button type="button" class="button" onClick={add}>
            <Icon name="more" />
            Add a ControlNet
          </button>
        )
        : null}
    </Fold>
  )
}
