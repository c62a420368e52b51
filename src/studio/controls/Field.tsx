/**
 * A field of the form: label, control, hint and problem, linked for screen readers.
 */
import type { ComponentChildren } from "preact"
import { problems } from "../state/problems.ts"
import { Icon } from "./Icon.tsx"

/** The problem of a field, if any. */
export const ProblemOf = ({ name }: { readonly name: string }) => {
  const message = problems.value[name]
  return (
    <span data-problem={name} id={`problem-${name}`} class="problem" hidden={message === undefined}>
      <Icon name="alert" />
      <span>{message}</span>
    </span>
  )
}

/** The ARIA attributes of a field's control; `other` is the id of a further description. */
export const described = (name: string, hasHint = false, other = "") => ({
  "aria-invalid": name in problems.value,
  "aria-describedby":
    [name in problems.value ? `problem-${name}` : "", hasHint ? `hint-${name}` : "", other].join(" ").trim() ||
    undefined
})

export const Field = ({ aside, children, hint, label, name }: {
  readonly name: string
  readonly label: string
  readonly hint?: string | undefined
  readonly aside?: ComponentChildren
  readonly children: ComponentChildren
}) => (
  <div class="field">
    <div class="field-head">
      <label class="label" for={`field-${name}`}>{label}</label>
      {aside}
    </div>
    {children}
    {hint === undefined ? null : <span class="hint" id={`hint-${name}`}>{hint}</span>}
    <ProblemOf name={name} />
  </div>
)
