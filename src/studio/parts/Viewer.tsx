/**
 * The viewer: the arrow keys go through the images, Escape closes it.
 */
import { useEffect, useRef } from "preact/hooks"
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { forget, type GalleryImage, mine, viewed } from "../state/gallery.ts"
import { copyImage, copyText, download, reuse, send, useSeed } from "../state/transfer.ts"
import { say } from "../state/ui.ts"

const move = (by: number) => {
  const now = viewed.value
  if (now === undefined) return
  const at = now.at + by
  if (at >= 0 && at < now.images.length) viewed.value = { ...now, at }
}

const close = () => {
  viewed.value = undefined
}

// The tab is opened synchronously within the click, or the browser blocks it as a pop-up.
const openInTab = (image: GalleryImage) => {
  const opened = open(image.url, "_blank")
  if (opened === null) say("The browser blocked the new tab.")
}

const remove = (image: GalleryImage) => {
  forget(image)
  const now = viewed.value
  if (now === undefined) return
  const images = now.images.filter(({ key }) => key !== image.key)
  viewed.value = images.length === 0 ? undefined : { images, at: Math.min(now.at, images.length - 1) }
}

const Actions = ({ image }: { readonly image: GalleryImage }) => (
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
    {mine.value.some(({ key }) => key === image.key)
      ? (
        <button type="button" class="button" onClick={() => remove(image)}>
          <Icon name="clear" />
          Remove from this browser
        </button>
      )
      : null}
  </div>
)

export const Viewer = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const now = viewed.value
  const image = now?.images[now.at]
  const isOpen = image !== undefined
  useEffect(() => {
    if (isOpen && dialog.current?.open === false) dialog.current.showModal()
    if (!isOpen && dialog.current?.open === true) dialog.current.close()
  }, [isOpen])
  return (
    <dialog
      ref={dialog}
      class="viewer"
      aria-label="Image viewer"
      onClose={close}
      onKeyDown={({ key }) => {
        if (key === "ArrowLeft") move(-1)
        if (key === "ArrowRight") move(1)
      }}
    >
      {now === undefined || image === undefined ? null : (
        <>
          <div class="viewer-image">
            <Shown key={image.key} image={image} isLarge />
            <button
              type="button"
              class="button square viewer-step back"
              aria-label="Previous image"
              disabled={now.at === 0}
              onClick={() => move(-1)}
            >
              <Icon name="back" />
            </button>
            <button
              type="button"
              class="button square viewer-step on"
              aria-label="Next image"
              disabled={now.at === now.images.length - 1}
              onClick={() => move(1)}
            >
              <Icon name="on" />
            </button>
          </div>
          <div class="viewer-side">
            <div class="viewer-head">
              <h2>
                {now.at + 1} of {now.images.length}
              </h2>
              <button
                type="button"
                class="button quiet square"
                aria-label="Close"
                title="Close (Escape)"
                onClick={close}
              >
                <Icon name="close" />
              </button>
            </div>
            <Actions image={image} />
            <div class="field">
              <div class="field-head">
                <h3>Infotext</h3>
                <button type="button" class="button quiet low" onClick={() => void copyText(image.infotext)}>
                  <Icon name="copy" />
                  Copy
                </button>
              </div>
              <pre class="infotext" tabIndex={0} aria-label="Infotext">{image.infotext}</pre>
            </div>
          </div>
        </>
      )}
    </dialog>
  )
}
