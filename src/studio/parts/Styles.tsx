/**
 * The server's styles as toggles.
 */
import { ProblemOf } from "../controls/Field.tsx"
import { styles } from "../state/catalogue.ts"
import { change, form } from "../state/form.ts"

const toggle = (name: string) => {
  const chosen = form.value.styles
  change({ styles: chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name] })
}

export const Styles = () => {
  const names = [...new Set([...styles.value.map(({ name }) => name), ...form.value.styles])]
  if (names.length === 0) return null
  return (
    <fieldset class="field">
      <legend class="unseen">Styles</legend>
      <span class="label" aria-hidden="true">Styles</span>
      <div class="chips">
        {names.map((name) => (
          <button
            key={name}
            type="button"
            class="chip"
            aria-pressed={form.value.styles.includes(name)}
            title={styles.value.find((style) => style.name === name)?.prompt}
            onClick={() => toggle(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <ProblemOf name="styles" />
    </fieldset>
  )
}
