/**
 * A prompt: its text, how many tokens that is, and what it may go on with.
 */
import type { TargetedKeyboardEvent } from "preact"
import { described, Field } from "../controls/Field.tsx"
import { adjusted } from "../state/attention.ts"
import { closePopup, complete, onPopupKey } from "../state/completion.ts"
import { labelOf } from "../state/fields.ts"
import { change, form } from "../state/form.ts"
import { shownCount } from "../state/tokens.ts"
import { typeOver } from "../state/typing.ts"
import { LastPrompts } from "./LastPrompts.tsx"
import { completing, Suggestions } from "./Suggestions.tsx"

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
    <Field
      name={name}
      label={label}
      aside={
        <span class="field-aside">
          {name === "prompt" ? <LastPrompts /> : null}
          <Tokens name={name} />
        </span>
      }
    >
      <textarea
        id={`field-${name}`}
        class={isShort ? "input short" : "input"}
        rows={rows}
        value={form.value[name]}
        placeholder={hint}
        spellcheck={false}
        {...described(name, false, `tokens-${name}`)}
        {...completing(name)}
        onInput={({ currentTarget, isComposing }) => {
          change({ [name]: currentTarget.value })
          if (!isComposing) complete(currentTarget, name)
        }}
        onCompositionEnd={({ currentTarget }) => complete(currentTarget, name)}
        onKeyDown={(event) => {
          if (!onPopupKey(event, event.currentTarget, name)) changeAttention(event)
        }}
        onPointerDown={closePopup}
        onBlur={closePopup}
      />
      <Suggestions field={name} />
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
