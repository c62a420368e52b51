/**
 * A button that opens the file picker for an image, or for several.
 */
import { useRef } from "preact/hooks"
import { Icon } from "./Icon.tsx"

export const FileButton = ({ isMultiple = false, isQuiet = false, label, onFiles }: {
  readonly label: string
  readonly isQuiet?: boolean | undefined
  readonly isMultiple?: boolean | undefined
  readonly onFiles: (files: readonly [File, ...ReadonlyArray<File>]) => void
}) => {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <input
        ref={input}
        class="unseen"
        type="file"
        accept="image/png,image/jpeg,image/webp,image/*"
        multiple={isMultiple}
        tabIndex={-1}
        aria-hidden="true"
        onChange={({ currentTarget }) => {
          const [first, ...others] = currentTarget.files ?? []
          if (first !== undefined) onFiles([first, ...others])
          currentTarget.value = ""
        }}
      />
      <button type="button" class={isQuiet ? "button quiet low" : "button"} onClick={() => input.current?.click()}>
        <Icon name="upload" />
        {label}
      </button>
    </>
  )
}
