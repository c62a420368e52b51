/**
 * A collapsible section. It opens by itself when one of its fields has a problem.
 */
import type { ComponentChildren } from "preact"
import { open } from "../state/form.ts"
import { problems } from "../state/problems.ts"
import { Icon } from "./Icon.tsx"

export const Fold = ({ children, fields, id, note, onOpen, title }: {
  readonly id: string
  readonly title: string
  /** A summary of its values in a few words. */
  readonly note?: string | undefined
  /** Names of its fields. */
  readonly fields: ReadonlyArray<string>
  /** Called each time it opens, and for one that is open from the beginning. */
  readonly onOpen?: (() => void) | undefined
  readonly children: ComponentChildren
}) => {
  const isOpen = open.value[id] === true || fields.some((name) => name in problems.value)
  return (
    <details
      class="fold"
      open={isOpen}
      onToggle={({ currentTarget }) => {
        if (currentTarget.open) onOpen?.()
        if (currentTarget.open !== (open.peek()[id] === true)) open.value = { ...open.peek(), [id]: currentTarget.open }
      }}
    >
      <summary>
        <Icon name="on" />
        {title}
        {note === undefined ? null : <span class="note">{note}</span>}
      </summary>
      <div class="fold-body">{children}</div>
    </details>
  )
}
