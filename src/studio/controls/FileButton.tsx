/**
 * A button that opens the file picker for an image.
 */
import { useRef } from "preact/hooks"
import { Icon } from "./Icon.tsx"

export const FileButton = ({ isQuiet = false, label, onFile }: {
  readonly label: string
  readonly isQuiet?: boolean | undefined
  readonly onFile: (file: File) => void
}) => {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <input
        ref={input}
        class="unseen"
        type="file"
        accept="image/png,image/jpeg,image/webp,image/*"
        tabIndex={-1}
        aria-hidden="true"
        onChange={({ currentTarget }) => {
          const [file] = currentTarget.files ?? []
          if (file !== undefined) onFile(file)
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
