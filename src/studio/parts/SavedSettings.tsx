/**
 * Presets to apply, save and remove, and styles to write.
 */
import type { ComponentChildren } from "preact"
import { Field } from "../controls/Field.tsx"
import { Fold } from "../controls/Fold.tsx"
import { SelectControl, SwitchControl } from "../controls/inputs.tsx"
import { styles } from "../state/catalogue.ts"
import {
  applyPreset,
  choosePreset,
  chooseStyle,
  editedPreset,
  editedStyle,
  loadPresets,
  presets,
  removePreset,
  removeStyle,
  savePreset,
  saveStyle,
  takePrompts
} from "../state/saved.ts"

/** Longest name, in characters. */
const longestName = 200

const Name = ({ label, name, set, value }: {
  readonly name: string
  readonly label: string
  readonly value: string
  readonly set: (value: string) => void
}) => (
  <Field name={name} label={label}>
    <input
      id={`field-${name}`}
      class="input"
      type="text"
      maxLength={longestName}
      autoComplete="off"
      value={value}
      onInput={({ currentTarget }) => set(currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) event.preventDefault()
      }}
    />
  </Field>
)

const Text = ({ label, name, set, value }: Parameters<typeof Name>[0]) => (
  <Field name={name} label={label}>
    <textarea
      id={`field-${name}`}
      class="input short"
      rows={2}
      spellcheck={false}
      value={value}
      onInput={({ currentTarget }) => set(currentTarget.value)}
    />
  </Field>
)

const Act = ({ children, isOff = false, onClick }: {
  readonly isOff?: boolean
  readonly onClick: () => void
  readonly children: ComponentChildren
}) => <button type="button" class="button low" disabled={isOff} onClick={onClick}>{children}</button>

const named = (names: ReadonlyArray<string>, none: string) => [
  { value: "", label: none },
  ...names.map((name) => ({ value: name, label: name }))
]

const Presets = () => {
  const { hasPrompts, name, of } = editedPreset.value
  return (
    <>
      <SelectControl
        of={{ name: "preset", label: "Preset", value: of, set: choosePreset }}
        choices={named(presets.value.map(({ name }) => name), "New preset")}
      >
        <Act isOff={of === ""} onClick={() => void applyPreset()}>Apply</Act>
      </SelectControl>
      <Name
        name="preset_name"
        label="Preset name"
        value={name}
        set={(name) => {
          editedPreset.value = { ...editedPreset.value, name }
        }}
      />
      <SwitchControl
        of={{
          name: "preset_prompts",
          label: "With the prompts",
          value: hasPrompts,
          set: (hasPrompts) => {
            editedPreset.value = { ...editedPreset.value, hasPrompts }
          }
        }}
      />
      <div class="actions">
        <Act isOff={name.trim() === ""} onClick={() => void savePreset()}>Save preset</Act>
        <Act isOff={of === ""} onClick={() => void removePreset()}>Remove preset</Act>
      </div>
    </>
  )
}

const StyleEditor = () => {
  const { name, negative_prompt, of, prompt } = editedStyle.value
  const set = (field: "name" | "negative_prompt" | "prompt") => (text: string) => {
    editedStyle.value = { ...editedStyle.value, [field]: text }
  }
  return (
    <>
      <SelectControl
        of={{ name: "style", label: "Style", value: of, set: chooseStyle }}
        choices={named(styles.value.map(({ name }) => name), "New style")}
      />
      <Name name="style_name" label="Style name" value={name} set={set("name")} />
      <Text name="style_prompt" label="Style prompt, {prompt} for the prompt" value={prompt} set={set("prompt")} />
      <Text name="style_negative" label="Style negative prompt" value={negative_prompt} set={set("negative_prompt")} />
      <div class="actions">
        <Act isOff={name.trim() === ""} onClick={() => void saveStyle()}>Save style</Act>
        <Act isOff={of === ""} onClick={() => void removeStyle()}>Remove style</Act>
        <Act onClick={takePrompts}>Take the prompts</Act>
      </div>
    </>
  )
}

export const SavedSettings = () => (
  <Fold
    id="saved"
    title="Presets and styles"
    fields={[]}
    onOpen={() => void loadPresets()}
  >
    <Presets />
    <hr class="rule" />
    <StyleEditor />
  </Fold>
)
