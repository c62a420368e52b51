/**
 * The large view: arrows go through the pictures, Escape closes it.
 */
import { useEffect, useRef } from "preact/hooks"
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { forget, mine, type Picture, viewed } from "../state/pictures.ts"
import { copyPicture, copyText, download, reuse, send, useSeed } from "../state/transfer.ts"
import { say } from "../state/ui.ts"

const move = (by: number) => {
  const now = viewed.value
  if (now === undefined) return
  const at = now.at + by
  if (at >= 0 && at < now.pictures.length) viewed.value = { ...now, at }
}

const close = () => {
  viewed.value = undefined
}

// A tab must be opened at the press itself, or the browser takes it for a pop-up.
const openInTab = (picture: Picture) => {
  const opened = open(picture.url, "_blank")
  if (opened === null) say("The browser does not let this page open a tab.")
}

const remove = (picture: Picture) => {
  forget(picture)
  const now = viewed.value
  if (now === undefined) return
  const pictures = now.pictures.filter(({ key }) => key !== picture.key)
  viewed.value = pictures.length === 0 ? undefined : { pictures, at: Math.min(now.at, pictures.length - 1) }
}

const Actions = ({ picture }: { readonly picture: Picture }) => (
  <div class="actions">
    <button type="button" class="button main" onClick={() => void reuse(picture)}>
      <Icon name="reuse" />
      Reuse all settings
    </button>
    <button type="button" class="button" onClick={() => void send(picture, "img2img")}>
      <Icon name="image" />
      Image to image
    </button>
    <button type="button" class="button" onClick={() => void send(picture, "inpaint")}>
      <Icon name="mask" />
      Inpaint
    </button>
    <button type="button" class="button" onClick={() => void download(picture)}>
      <Icon name="download" />
      Download
    </button>
    <button type="button" class="button" onClick={() => void copyPicture(picture)}>
      <Icon name="copy" />
      Copy picture
    </button>
    <button type="button" class="button" onClick={() => openInTab(picture)}>
      <Icon name="open" />
      Open in new tab
    </button>
    <button type="button" class="button" onClick={() => useSeed(picture.seed)}>
      <Icon name="dice" />
      Use its seed
    </button>
    {mine.value.some(({ key }) => key === picture.key)
      ? (
        <button type="button" class="button" onClick={() => remove(picture)}>
          <Icon name="clear" />
          Remove here
        </button>
      )
      : null}
  </div>
)

export const Viewer = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const now = viewed.value
  const picture = now?.pictures[now.at]
  const isOpen = picture !== undefined
  useEffect(() => {
    if (isOpen && dialog.current?.open === false) dialog.current.showModal()
    if (!isOpen && dialog.current?.open === true) dialog.current.close()
  }, [isOpen])
  return (
    <dialog
      ref={dialog}
      class="viewer"
      aria-label="Large view"
      onClose={close}
      onKeyDown={({ key }) => {
        if (key === "ArrowLeft") move(-1)
        if (key === "ArrowRight") move(1)
      }}
    >
      {now === undefined || picture === undefined ? null : (
        <>
          <div class="viewer-picture">
            <Shown key={picture.key} picture={picture} isLarge />
            <button
              type="button"
              class="button square viewer-step back"
              aria-label="Previous picture"
              disabled={now.at === 0}
              onClick={() => move(-1)}
            >
              <Icon name="back" />
            </button>
            <button
              type="button"
              class="button square viewer-step on"
              aria-label="Next picture"
              disabled={now.at === now.pictures.length - 1}
              onClick={() => move(1)}
            >
              <Icon name="on" />
            </button>
          </div>
          <div class="viewer-side">
            <div class="viewer-head">
              <h2>
                {now.at + 1} of {now.pictures.length}
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
            <Actions picture={picture} />
            <div class="field">
              <div class="field-head">
                <h3>Infotext</h3>
                <button type="button" class="button quiet low" onClick={() => void copyText(picture.infotext)}>
                  <Icon name="copy" />
                  Copy
                </button>
              </div>
              <pre class="infotext" tabIndex={0} aria-label="Infotext">{picture.infotext}</pre>
            </div>
          </div>
        </>
      )}
    </dialog>
  )
}
