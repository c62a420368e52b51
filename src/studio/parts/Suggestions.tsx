/**
 * The suggestions for a prompt, under its caret. The focus stays in the prompt, whose `aria-activedescendant` names the
 * one that a key takes.
 */
import { useLayoutEffect, useRef } from "preact/hooks"
import type { Suggestion } from "../../contract/Prompts.ts"
import { closePopup, type Popup, popup, take } from "../state/completion.ts"
import type { Prompts } from "../state/typing.ts"

const listId = (field: keyof Prompts) => `suggestions-${field}`
const optionId = (field: keyof Prompts, place: number) => `${listId(field)}-${place}`

/** The attributes of a prompt whose suggestions are shown, or not. */
export const completing = (field: keyof Prompts) => {
  const shown = popup.value
  return {
    "aria-autocomplete": "list",
    ...(shown?.field === field && {
      "aria-controls": listId(field),
      "aria-activedescendant": optionId(field, shown.active)
    })
  } as const
}

const counted = new Intl.NumberFormat("en", { notation: "compact" })

const kinds = { lora: "LoRA", embedding: "embedding", wildcard: "wildcard" } as const

const About = ({ of: { alias, count, kind } }: { readonly of: Suggestion }) => (
  <span class="about">
    {alias === null ? "" : `${alias} `}
    {kind !== "tag" ? kinds[kind] : count === null ? "" : counted.format(count)}
  </span>
)

// What decides where a text breaks.
const copied = [
  "boxSizing",
  "width",
  "padding",
  "border",
  "font",
  "letterSpacing",
  "lineHeight",
  "tabSize",
  "wordSpacing"
] as const

// Where a character of a text area is on the screen: it is measured in a copy that is not shown.
const placeOf = (node: HTMLTextAreaElement, at: number) => {
  const copy = document.createElement("div")
  const style = getComputedStyle(node)
  for (const name of copied) copy.style[name] = style[name]
  Object.assign(copy.style, {
    position: "fixed",
    visibility: "hidden",
    whiteSpace: "pre-wrap",
    overflowWrap: "break-word"
  })
  const mark = document.createElement("span")
  mark.textContent = "\u200b"
  copy.append(node.value.slice(0, at), mark)
  document.body.append(copy)
  const box = node.getBoundingClientRect()
  const place = {
    left: box.left + mark.offsetLeft,
    top: box.top + mark.offsetTop - node.scrollTop,
    height: mark.offsetHeight
  }
  copy.remove()
  return place
}

const margin = 8

// Under the line of the caret, or over it where there is more room.
const settle = (list: HTMLElement, node: HTMLTextAreaElement, { from }: Popup) => {
  const { height, left, top } = placeOf(node, from)
  const { offsetHeight, offsetWidth } = list
  const isUnder = top + height + offsetHeight + margin <= innerHeight || top < innerHeight / 2
  const most = Math.max(margin, document.documentElement.clientWidth - offsetWidth - margin)
  list.style.left = `${Math.min(Math.max(margin, left), most)}px`
  list.style.top = `${isUnder ? top + height + 4 : Math.max(margin, top - offsetHeight - 4)}px`
}

const List = ({ shown }: { readonly shown: Popup }) => {
  const own = useRef<HTMLUListElement>(null)
  const { active, field, from, suggestions } = shown
  const node = () => {
    const found = document.getElementById(`field-${field}`)
    return found instanceof HTMLTextAreaElement ? found : undefined
  }
  // Over all else, wherever the form lies.
  useLayoutEffect(() => own.current?.showPopover(), [])
  useLayoutEffect(() => {
    const of = node()
    if (own.current !== null && of !== undefined) settle(own.current, of, shown)
  }, [field, from, suggestions])
  useLayoutEffect(() => {
    own.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" })
  }, [active])
  useLayoutEffect(() => {
    const onScroll = ({ target }: Event) => {
      if (target !== own.current) closePopup()
    }
    addEventListener("scroll", onScroll, true)
    addEventListener("resize", closePopup)
    return () => {
      removeEventListener("scroll", onScroll, true)
      removeEventListener("resize", closePopup)
    }
  }, [])
  return (
    <ul id={listId(field)} ref={own} class="suggestions" popover="manual" role="listbox" aria-label="Suggestions">
      {suggestions.map((suggestion, place) => (
        <li
          key={`${suggestion.kind} ${suggestion.name}`}
          id={optionId(field, place)}
          role="option"
          aria-selected={place === active}
          // The focus stays where it is.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => {
            const of = node()
            if (of !== undefined) take(of, place)
          }}
        >
          <span>{suggestion.text}</span>
          <About of={suggestion} />
        </li>
      ))}
    </ul>
  )
}

export const Suggestions = ({ field }: { readonly field: keyof Prompts }) => {
  const shown = popup.value
  return shown?.field === field ? <List shown={shown} /> : null
}
