/**
 * The viewer: the arrow keys go through the images, F fills the screen, S stars, Delete removes, Escape closes it.
 */
import { useLayoutEffect, useRef } from "preact/hooks"
import type { Run } from "../api.ts"
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { addTag, closeViewer, type GalleryImage, remove, removeTag, star, step, viewed } from "../state/gallery.ts"
import { complain } from "../state/notices.ts"
import { copyImage, copyText, download, reuse, send, useSeed } from "../state/transfer.ts"
import { Notices } from "./Notices.tsx"

// The tab is opened synchronously within the click, or the browser blocks it as a pop-up.
const openInTab = (image: GalleryImage) => {
  const opened = open(image.url, "_blank")
  if (opened === null) complain("The browser blocked the new tab.")
}

const Tags = ({ run }: { readonly run: Run }) => (
  <div class="field">
    <h3>Tags</h3>
    {run.tags.length === 0 ? null : (
      <ul class="tags">
        {run.tags.map((tag) => (
          <li key={tag} class="tag">
            {tag}
            <button
              type="button"
              class="button quiet square"
              aria-label={`Remove the tag ${tag}`}
              onClick={() => void removeTag(run, tag)}
            >
              <Icon name="close" />
            </button>
          </li>
        ))}
      </ul>
    )}
    <form
      class="with-button"
      onSubmit={(event) => {
        event.preventDefault()
        const input = event.currentTarget.elements.namedItem("tag")
        if (!(input instanceof HTMLInputElement) || input.value.trim() === "") return
        void addTag(run, input.value.trim())
        input.value = ""
      }}
    >
      <input class="input" name="tag" aria-label="New tag" maxLength={100} list="known-tags" autocomplete="off" />
      <button type="submit" class="button">Add tag</button>
    </form>
  </div>
)

const Actions = ({ image, run }: { readonly image: GalleryImage; readonly run: Run }) => (
  <div class="actions">
    <button type="button" class="button main" onClick={() => void reuse(image)}>
      <Icon name="reuse" />
      Reuse all settings
    </button>
    <button type="button" class="button" onClick={() => void send(image, "img2img")}>
      <Icon name="image" />
      Image to image
    </button>
    <button type="button" class="button" onClick={() => void send(image, "inpaint")}>
      <Icon name="mask" />
      Inpaint
    </button>
    <button type="button" class="button" onClick={() => void download(image)}>
      <Icon name="download" />
      Download
    </button>
    <button type="button" class="button" onClick={() => void copyImage(image)}>
      <Icon name="copy" />
      Copy image
    </button>
    <button type="button" class="button" onClick={() => openInTab(image)}>
      <Icon name="open" />
      Open in new tab
    </button>
    <button type="button" class="button" onClick={() => useSeed(image.seed)}>
      <Icon name="dice" />
      Use seed
    </button>
    <button type="button" class="button" aria-pressed={run.starred} onClick={() => void star(run)}>
      <Icon name="star" />
      {run.starred ? "Starred" : "Star"}
    </button>
    <button type="button" class="button" onClick={() => remove([run])}>
      <Icon name="clear" />
      Remove
    </button>
  </div>
)

/** Shows the image alone on the whole screen, or in the page again. */
const fill = async (frame: HTMLElement | null) => {
  try {
    await (document.fullscreenElement === null ? frame?.requestFullscreen() : document.exitFullscreen())
  } catch {
    complain("The browser does not allow this page to fill the screen.")
  }
}

export const Viewer = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const frame = useRef<HTMLDivElement>(null)
  const now = viewed.value
  const isOpen = now !== undefined
  useLayoutEffect(() => {
    if (isOpen && dialog.current?.open === false) dialog.current.showModal()
    if (!isOpen && dialog.current?.open === true) dialog.current.close()
  }, [isOpen])
  const onKeyDown = ({ altKey, ctrlKey, key, metaKey, target }: KeyboardEvent) => {
    if (now === undefined || altKey || ctrlKey || metaKey || target instanceof HTMLInputElement) return
    const acts: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      Delete: () => remove([now.run]),
      f: () => void fill(frame.current),
      s: () => void star(now.run)
    }
    acts[key.length === 1 ? key.toLowerCase() : key]?.()
  }
  return (
    <dialog
      ref={dialog}
      class="viewer"
      aria-label="Image viewer"
      onClose={closeViewer}
      onKeyDown={onKeyDown}
    >
      {now === undefined ? null : (
        <>
          <div ref={frame} class="viewer-image">
            <Shown key={now.image.key} image={now.image} isLarge />
            <button
              type="button"
              class="button square viewer-step back"
              aria-label="Previous image"
              disabled={now.at === 0}
              onClick={() => step(-1)}
            >
              <Icon name="back" />
            </button>
            <button
              type="button"
              class="button square viewer-step on"
              aria-label="Next image"
              disabled={now.at === now.all.length - 1}
              onClick={() => step(1)}
            >
              <Icon name="on" />
            </button>
          </div>
          <div class="viewer-side">
            <div class="viewer-head">
              <h2>
                {now.at + 1} of {now.all.length}
                {now.hasMore ? "+" : ""}
              </h2>
              <button
                type="button"
                class="button quiet square"
                aria-label="Close"
                title="Close (Escape)"
                onClick={closeViewer}
              >
                <Icon name="close" />
              </button>
            </div>
            <Actions image={now.image} run={now.run} />
            <Tags run={now.run} />
            <div class="field">
              <div class="field-head">
                <h3>Infotext</h3>
                <button type="button" class="button quiet low" onClick={() => void copyText(now.image.infotext)}>
                  <Icon name="copy" />
                  Copy
                </button>
              </div>
              <pre class="infotext" tabIndex={0} aria-label="Infotext">{now.image.infotext}</pre>
            </div>
          </div>
          <Notices />
        </>
      )}
    </dialog>
  )
}
