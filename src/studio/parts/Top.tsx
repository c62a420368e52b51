/**
 * The header of the page: name, tabs, model, theme.
 */
import { useEffect, useRef } from "preact/hooks"
import { Icon } from "../controls/Icon.tsx"
import { models, selectedModel, setOptions } from "../state/catalogue.ts"
import { complain, say } from "../state/notices.ts"
import { current } from "../state/runs.ts"
import { go, isDark, tab, tabs, toggleTheme } from "../state/ui.ts"

export const Logo = () => (
  <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="9" fill="var(--accent)" />
    <path
      d="M7 19.5c3-4 6-4 9 0s6 4 9 0M7 13c3-4 6-4 9 0s6 4 9 0"
      fill="none"
      stroke="var(--on-accent)"
      stroke-width="2.4"
      stroke-linecap="round"
    />
  </svg>
)

// Arrow keys go through the tabs, as the ARIA tabs pattern requires.
const onTabKey = (event: KeyboardEvent) => {
  const at = tabs.findIndex(({ id }) => id === tab.value)
  const steps: Readonly<Record<string, number>> = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    Home: 0,
    End: tabs.length - 1
  }
  const next = steps[event.key]
  const target = next === undefined ? undefined : tabs.at(next % tabs.length)
  if (target === undefined) return
  event.preventDefault()
  go(target.id)
  document.getElementById(`tab-${target.id}`)?.focus()
}

const chooseModel = (name: string) => {
  setOptions({ sd_model_checkpoint: name }).then(
    () => say(`The model is now ${name}.`),
    (error: unknown) => complain(error instanceof Error ? error.message : String(error))
  )
}

const ModelChoice = () => (
  <div class="model-choice">
    <select
      class="input"
      aria-label="Model"
      disabled={models.value.length === 0}
      onChange={({ currentTarget }) => chooseModel(currentTarget.value)}
    >
      {models.value.length === 0 ? <option>No model</option> : null}
      {models.value.map(({ name }) => (
        <option key={name} value={name} selected={name === selectedModel.value?.name}>{name}</option>
      ))}
    </select>
  </div>
)

export const Top = () => {
  const tabList = useRef<HTMLDivElement>(null)
  // On a narrow screen the selected tab may be out of view.
  useEffect(() => {
    const chosen = tabList.current?.querySelector("[aria-selected=true]")
    chosen?.scrollIntoView({ block: "nearest", inline: "nearest" })
  }, [tab.value])
  return (
    <header class="top">
      <h1 class="brand">
        <Logo />
        Serena
      </h1>
      <div ref={tabList} class="tabs" role="tablist" aria-label="Tabs" onKeyDown={onTabKey}>
        {tabs.map(({ id, label }) => (
          <button
            key={id}
            id={`tab-${id}`}
            type="button"
            role="tab"
            class="tab"
            aria-selected={tab.value === id}
            aria-controls="work"
            tabIndex={tab.value === id ? 0 : -1}
            onClick={() => go(id)}
          >
            {label}
          </button>
        ))}
      </div>
      <div class="top-progress" aria-hidden="true">
        {current.value === undefined
          ? null
          : <div style={{ transform: `scaleX(${Math.max(0.01, current.value.progress?.fraction ?? 0)})` }} />}
      </div>
      <div class="top-side">
        <ModelChoice />
        <button
          type="button"
          class="button quiet square low"
          aria-label={isDark() ? "Use the light theme" : "Use the dark theme"}
          title={isDark() ? "Use the light theme" : "Use the dark theme"}
          onClick={toggleTheme}
        >
          <Icon name={isDark() ? "sun" : "moon"} />
        </button>
      </div>
    </header>
  )
}
