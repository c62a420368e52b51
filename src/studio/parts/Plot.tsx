/**
 * The axes of a plot: one image for each combination of their values.
 */
import * as Result from "effect/Result"
import { axisNames } from "../../processing/Plot.ts"
import { described, Field } from "../controls/Field.tsx"
import { Fold } from "../controls/Fold.tsx"
import { labelOf } from "../state/fields.ts"
import { change, form } from "../state/form.ts"
import { allValues, axesOf, type AxisName, axisOf, axisText, plotOfForm } from "../state/plot.ts"
import type { Kind } from "../state/ui.ts"

const hints: Readonly<Record<string, string>> = {
  prompt: "The first text is replaced by each of them, in both prompts.",
  prompt_matrix: "Every combination of the parts follows the prompt: at night | by a lake",
  size: "Width × height: 512x512, 512x768",
  float: "Values or ranges: 5, 7.5, 1-2 (+0.5), 0-1 [5]",
  int: "Values or ranges: 5, 10, 20-30 (+5), 1-9 [3]",
  flag: "True, False",
  text: "Names with commas between them."
}

const Axis = ({ kind, name }: { readonly kind: Kind; readonly name: AxisName }) => {
  const { axis, label, values } = axisOf(form.value[name], kind)
  const axes = axesOf(kind)
  const title = labelOf(name).label
  const all = axis === undefined ? "" : allValues(axis.name)
  return (
    <Field
      name={name}
      label={title}
      hint={axis === undefined ? undefined : hints[axis.name] ?? hints[axis.kind]}
    >
      <select
        id={`field-${name}`}
        class="input"
        {...label === "" ? described(name) : {}}
        onChange={({ currentTarget }) => change({ [name]: axisText(currentTarget.value, values) })}
      >
        <option value="" selected={label === ""}>Nothing</option>
        {axis === undefined && label !== "" ? <option value={label} selected>{label}</option> : null}
        {axes.map((one) => <option key={one.label} value={one.label} selected={one.label === label}>{one.label}
        </option>)}
      </select>
      {label === "" ? null : (
        <div class="with-button">
          <textarea
            class="input values"
            rows={1}
            aria-label={`Values of the ${title}`}
            value={values}
            spellcheck={false}
            {...described(name, axis !== undefined)}
            onInput={({ currentTarget }) => change({ [name]: axisText(label, currentTarget.value) })}
          />
          {all === "" ? null : (
            <button
              type="button"
              class="button low"
              title="Write all names there are"
              onClick={() => change({ [name]: axisText(label, all) })}
            >
              All
            </button>
          )}
        </div>
      )}
    </Field>
  )
}

const many = (count: number): string => count === 1 ? "1 image" : `${count} images`

export const PlotAxes = ({ kind }: { readonly kind: Kind }) => {
  const read = plotOfForm(kind, form.value)
  const plot = Result.isSuccess(read) ? read.success : undefined
  const { batch_size, n_iter } = form.value
  const count = (plot?.cells.length ?? 0) * (batch_size ?? 1) * (n_iter ?? 1)
  const sides = plot === undefined
    ? ""
    : [plot.labels.x, plot.labels.y, plot.labels.z].map(({ length }) => length).filter((length) => length > 1)
      .join(" × ")
  return (
    <Fold
      id="plot"
      title="Plot"
      note={Result.isFailure(read) ? "not finished" : plot === undefined ? "off" : many(count)}
      fields={axisNames}
    >
      {axisNames.map((name) => <Axis key={name} name={name} kind={kind} />)}
      <span class="hint" role="status">
        {Result.isFailure(read)
          ? "An axis is not finished."
          : plot === undefined
          ? "Choose what differs from column to column, from row to row, and from sheet to sheet."
          : `${sides === "" ? "" : `${sides}: `}${many(count)}, and one that shows all of them with their values.`}
      </span>
    </Fold>
  )
}
