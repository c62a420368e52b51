/**
 * A prompt: its text, and how many tokens that is.
 */
import type { TargetedKeyboardEvent } from "preact"
import { described, Field } from "../controls/Field.tsx"
import { adjusted } from "../state/attention.ts"
import { labelOf } from "../state/fields.ts"
import { change, form } from "../state/form.ts"
import { shownCount } from "../state/tokens.ts"
import { typeOver } from "../state/typing.ts"

type PromptName = "prompt" | "negative_prompt"

// Screen readers read it as the description of the field: changes are not announced.
const Tokens = ({ name }: { readonly name: PromptName }) => {
  const { about, text } = shownCount(name)
  return (
    <span id={`tokens-${name}`} class="tokens" title={about}>
      {text}
      <span class="unseen">{text === "" ? "" : " tokens"}</span>
    </span>
  )
}

/** A prompt; its hint is the placeholder. */
export const PromptField = ({ isShort = false, name, rows }: {
  readonly name: PromptName
  readonly isShort?: boolean
  readonly rows: number
}) => {
  const { hint, label } = labelOf(name)
  return (
    <Field name={name} label={label} aside={<Tokens name={name} />}>
      <textarea
        id={`field-${name}`}
        class={isShort ? "input short" : "input"}
        rows={rows}
        value={form.value[name]}
        placeholder={hint}
        spellcheck={false}
        {...described(name, false, `tokens-${name}`)}
        onInput={({ currentTarget }) => change({ [name]: currentTarget.value })}
        onKeyDown={changeAttention}
      />
    </Field>
  )
}

// Ctrl+Up and Ctrl+Down. Ctrl+Z takes them back.
const changeAttention = (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => {
  const { ctrlKey, currentTarget, key, metaKey } = event
  if (!(ctrlKey || metaKey) || (key !== "ArrowUp" && key !== "ArrowDown")) return
  event.preventDefault()
  const { selectionEnd, selectionStart, value } = currentTarget
  const edit = adjusted({ text: value, from: selectionStart, to: selectionEnd }, key === "ArrowUp")
  if (edit === undefined) return
  if (typeOver(currentTarget, [edit.from, edit.to], edit.by)) currentTarget.setSelectionRange(...edit.selected)
}
