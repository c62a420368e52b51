/**
 * What the server keeps by name: styles and presets, changed here, each change with its way back.
 */
import { signal } from "@preact/signals"
import type { Preset } from "../../contract/Prompts.ts"
import * as api from "../api.ts"
import { styles } from "./catalogue.ts"
import { change, defaults, type Form, form, revived } from "./form.ts"
import { complain, offerUndo } from "./notices.ts"
import { type } from "./typing.ts"

/** Things of a kind by name, and the requests that change them. */
interface Shelf<A extends { readonly name: string }> {
  readonly find: (name: string) => A | undefined
  readonly save: (item: A) => Promise<unknown>
  readonly remove: (name: string) => Promise<unknown>
  readonly reload: () => Promise<void>
}

/** What a name is to stand for; nothing where it is to be removed. */
type Change<A> = readonly [name: string, item: A | undefined]

// Makes changes one after the other, and says what was done, with a way back. Whether all went well.
const make = async <A extends { readonly name: string }>(
  shelf: Shelf<A>,
  changes: ReadonlyArray<Change<A>>,
  said: string,
  undone: () => void = () => {}
): Promise<boolean> => {
  const before = changes.map(([name]): Change<A> => [name, shelf.find(name)])
  const all = async (changes: ReadonlyArray<Change<A>>) => {
    try {
      for (const [name, item] of changes) {
        if (item !== undefined) await shelf.save(item)
        else if (shelf.find(name) !== undefined) await shelf.remove(name)
        await shelf.reload()
      }
      return true
    } catch (error) {
      complain(error instanceof Error ? error.message : String(error))
      return false
    }
  }
  if (!await all(changes)) return false
  offerUndo(said, () => {
    void all(before.toReversed()).then((isBack) => {
      if (isBack) undone()
    })
  })
  return true
}

const styleShelf: Shelf<api.Style> = {
  find: (name) => styles.value.find((style) => style.name === name),
  save: api.saveStyle,
  remove: api.removeStyle,
  reload: async () => {
    styles.value = await api.styles()
  }
}

const newStyle = { of: "", name: "", prompt: "", negative_prompt: "" }

/** The style in the editor: `of` is the name of the one that it changes, empty for a new one. */
export const editedStyle = signal(newStyle)

/** Puts a style into the editor; an empty name begins a new one. */
export const chooseStyle = (name: string) => {
  const found = styleShelf.find(name)
  editedStyle.value = found === undefined ? newStyle : { ...found, of: name }
}

/** Puts the prompts into the editor. */
export const takePrompts = () => {
  const { negative_prompt, prompt } = form.value
  editedStyle.value = { ...editedStyle.value, prompt, negative_prompt }
}

const renamed = (from: string, to: string) => {
  const chosen = form.value.styles
  if (chosen.includes(from)) change({ styles: chosen.map((name) => name === from ? to : name) })
}

export const saveStyle = async () => {
  const { of, ...typed } = editedStyle.value
  const style = { ...typed, name: typed.name.trim() }
  const isRenamed = of !== "" && of !== style.name
  const changes: ReadonlyArray<Change<api.Style>> = [
    [style.name, style],
    ...(isRenamed ? [[of, undefined] as const] : [])
  ]
  const back = () => {
    if (isRenamed) renamed(style.name, of)
    editedStyle.value = { of, ...typed }
  }
  if (!await make(styleShelf, changes, `The style ${style.name} is saved.`, back)) return
  if (isRenamed) renamed(of, style.name)
  editedStyle.value = { ...style, of: style.name }
}

export const removeStyle = async () => {
  const { of } = editedStyle.value
  const { styles: chosen } = form.value
  if (!await make(styleShelf, [[of, undefined]], `The style ${of} is removed.`, () => change({ styles: chosen }))) {
    return
  }
  change({ styles: chosen.filter((name) => name !== of) })
  editedStyle.value = newStyle
}

/** The presets of the server. */
export const presets = signal<ReadonlyArray<Preset>>([])

const presetShelf: Shelf<Preset> = {
  find: (name) => presets.value.find((preset) => preset.name === name),
  save: api.savePreset,
  remove: api.removePreset,
  reload: async () => {
    presets.value = await api.presets()
  }
}

export const loadPresets = () =>
  presetShelf.reload().catch((error: unknown) => complain(error instanceof Error ? error.message : String(error)))

/** The preset in hand: `of` is the name of the one that was chosen, empty for a new one. */
export const editedPreset = signal({ of: "", name: "", hasPrompts: false })

const prompts = ["prompt", "negative_prompt"] as const
// What is of one image rather than of a way to make images.
const seeds: ReadonlyArray<string> = ["seed", "subseed"] satisfies ReadonlyArray<keyof Form>

export const choosePreset = (name: string) => {
  const found = presetShelf.find(name)
  editedPreset.value = { of: name, name, hasPrompts: found !== undefined && "prompt" in found.settings }
}

export const savePreset = async () => {
  const { hasPrompts } = editedPreset.value
  const name = editedPreset.value.name.trim()
  const left: ReadonlyArray<string> = hasPrompts ? seeds : [...seeds, ...prompts]
  const settings: Record<string, Form[keyof Form]> = Object.fromEntries(
    Object.entries(form.value).filter(([field]) => !left.includes(field))
  )
  if (await make(presetShelf, [[name, { name, settings }]], `The preset ${name} is saved.`)) {
    editedPreset.value = { of: name, name, hasPrompts }
  }
}

export const removePreset = async () => {
  const { of } = editedPreset.value
  if (await make(presetShelf, [[of, undefined]], `The preset ${of} is removed.`)) {
    editedPreset.value = { of: "", name: "", hasPrompts: false }
  }
}

const fill = async (values: Form) => {
  change(values)
  await type({ prompt: values.prompt, negative_prompt: values.negative_prompt })
}

/** Fills the form with the settings of the chosen preset. Prompts stay where it has none. */
export const applyPreset = async () => {
  const found = presetShelf.find(editedPreset.value.of)
  if (found === undefined) return
  const before = form.value
  const known = Object.entries(revived(defaults, found.settings)).filter(([field]) => field in found.settings)
  const { negative_prompt, prompt, ...others } = { ...before, ...Object.fromEntries(known) }
  change(others)
  await type({ prompt, negative_prompt })
  offerUndo(`The form has the settings of the preset ${found.name}.`, () => void fill(before))
}
