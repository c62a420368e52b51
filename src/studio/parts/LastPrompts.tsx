/**
 * A menu of the prompts of the latest runs.
 */
import { useRef, useState } from "preact/hooks"
import * as api from "../api.ts"
import { Icon } from "../controls/Icon.tsx"
import { form } from "../state/form.ts"
import { complain, offerUndo, say } from "../state/notices.ts"
import { type Prompts, type } from "../state/typing.ts"

/** Runs that are looked at, and most prompts that are shown. */
const looked = 100
const most = 20

// The latest first, each once.
const latest = async (): Promise<ReadonlyArray<Prompts>> => {
  const { runs } = await api.listRuns({ limit: looked })
  const all = new Map(runs.map(({ request: { negative_prompt, prompt } }) => [
    JSON.stringify([prompt, negative_prompt]),
    { prompt, negative_prompt }
  ]))
  return [...all.values()].filter(({ prompt }) => prompt.trim() !== "").slice(0, most)
}

const margin = 8

export const LastPrompts = () => {
  const menu = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const [shown, setShown] = useState<ReadonlyArray<Prompts>>([])
  const [isOpen, setIsOpen] = useState(false)

  const open = async () => {
    try {
      const prompts = await latest()
      if (prompts.length === 0) return say("The server has no runs with a prompt yet.")
      setShown(prompts)
    } catch (error) {
      return complain(error instanceof Error ? error.message : String(error))
    }
    // The menu is measured once it has its items.
    setTimeout(() => {
      const { current: list } = menu
      const box = button.current?.getBoundingClientRect()
      if (list === null || box === undefined) return
      list.showPopover()
      const left = Math.max(margin, Math.min(box.right, innerWidth - margin) - list.offsetWidth)
      list.style.left = `${left}px`
      list.style.top = `${Math.max(margin, Math.min(box.bottom + 4, innerHeight - list.offsetHeight - margin))}px`
      list.querySelector("button")?.focus()
    })
  }
  const take = async (prompts: Prompts) => {
    menu.current?.hidePopover()
    const { negative_prompt, prompt } = form.value
    await type(prompts)
    offerUndo("The prompts are those of an earlier run.", () => void type({ prompt, negative_prompt }))
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const items = [...menu.current?.querySelectorAll("button") ?? []]
    const at = items.findIndex((item) => item === document.activeElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key]
    if (event.key === "Tab") menu.current?.hidePopover()
    if (to === undefined) return
    event.preventDefault()
    items.at(to % items.length)?.focus()
  }
  return (
    <>
      <button
        ref={button}
        type="button"
        class="button quiet tiny"
        aria-label="Last prompts"
        title="Last prompts"
        aria-haspopup="menu"
        aria-expanded={isOpen}
        onClick={() => void (isOpen ? menu.current?.hidePopover() : open())}
      >
        <Icon name="history" />
      </button>
      <div
        ref={menu}
        class="suggestions wide"
        popover="auto"
        role="menu"
        aria-label="Last prompts"
        onKeyDown={onKeyDown}
        onToggle={({ newState }) => setIsOpen(newState === "open")}
      >
        {shown.map((prompts) => (
          <button
            key={JSON.stringify([prompts.prompt, prompts.negative_prompt])}
            type="button"
            role="menuitem"
            tabIndex={-1}
            onClick={() => void take(prompts)}
          >
            <span>{prompts.prompt}</span>
            {prompts.negative_prompt === "" ? null : <span class="about">not {prompts.negative_prompt}</span>}
          </button>
        ))}
      </div>
    </>
  )
}
