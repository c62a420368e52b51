/**
 * The viewer: the arrow keys go through the images, F fills the screen, S stars, Delete removes, + - and 0 zoom,
 * Escape closes it.
 */
import { signal } from "@preact/signals"
import { useLayoutEffect, useRef } from "preact/hooks"
import type { Run } from "../api.ts"
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { addTag, closeViewer, type GalleryImage, remove, removeTag, star, step, viewed } from "../state/gallery.ts"
import { complain } from "../state/notices.ts"
import { cellOf } from "../state/plot.ts"
import { vary } from "../state/runs.ts"
import { copyImage, copyText, download, reuse, send, sendToUpscale, useSeed } from "../state/transfer.ts"
import { showWhole, zoomBy } from "../state/zoom.ts"
import { Compared } from "./Compared.tsx"
import { Facts } from "./Facts.tsx"
import { Notices } from "./Notices.tsx"
import { Zoomed } from "./Zoomed.tsx"

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

/** The image that others are compared with. */
const compared = signal<GalleryImage | undefined>(undefined)

// What is compared are this image and the one shown next.
const compare = (image: GalleryImage, at: number, count: number) => {
  if (compared.value !== undefined) compared.value = undefined
  else {
    compared.value = image
    step(at + 1 < count ? 1 : -1)
  }
}

/** Images of the strip on each side of the one shown. */
const reach = 12

const Filmstrip = ({ all, at }: { readonly all: ReadonlyArray<GalleryImage>; readonly at: number }) => {
  const chosen = useRef<HTMLButtonElement>(null)
  useLayoutEffect(() => chosen.current?.scrollIntoView({ block: "nearest", inline: "center" }), [at])
  const from = Math.max(0, at - reach)
  return (
    <ul class="filmstrip" aria-label="Images">
      {all.slice(from, at + reach + 1).map((image, i) => (
        <li key={image.key}>
          <button
            ref={from + i === at ? chosen : null}
            type="button"
            aria-current={from + i === at}
            aria-label={`Image ${from + i + 1}`}
            onClick={() => step(from + i - at)}
          >
            <Shown image={image} />
          </button>
        </li>
      ))}
    </ul>
  )
}

const Actions = ({ all, at, image, run }: {
  readonly image: GalleryImage
  readonly run: Run
  readonly all: ReadonlyArray<GalleryImage>
  readonly at: number
}) => (
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
    <button type="button" class="button" onClick={() => void sendToUpscale(image)}>
      <Icon name="up" />
      Upscale
    </button>
    {run.request._tag === "Txt2Img" && run.request.control_units.length === 0 && !image.isPlot
      ? (
        <button type="button" class="button" onClick={() => void vary(run, image)}>
          <Icon name="tune" />
          Variations
        </button>
      )
      : null}
    <button
      type="button"
      class="button"
      aria-pressed={compared.value !== undefined}
      disabled={all.length < 2}
      onClick={() => compare(image, at, all.length)}
    >
      <Icon name="split" />
      Compare
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
  const cell = now === undefined || now.image.isPlot ? undefined : cellOf(now.run.request, now.image.index)
  useLayoutEffect(() => {
    if (isOpen && dialog.current?.open === false) dialog.current.showModal()
    if (!isOpen && dialog.current?.open === true) dialog.current.close()
  }, [isOpen])
  // Another image is shown whole, and what was compared is over once the viewer is closed.
  useLayoutEffect(showWhole, [now?.image.key])
  useLayoutEffect(() => {
    if (!isOpen) compared.value = undefined
  }, [isOpen])
  const onKeyDown = ({ altKey, ctrlKey, key, metaKey, target }: KeyboardEvent) => {
    if (now === undefined || altKey || ctrlKey || metaKey || target instanceof HTMLInputElement) return
    const acts: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      Delete: () => remove([now.run]),
      "+": () => zoomBy(1.5),
      "-": () => zoomBy(1 / 1.5),
      "0": showWhole,
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
            {compared.value === undefined || compared.value.key === now.image.key
              ? (
                <Zoomed key={now.image.key}>
                  <Shown image={now.image} isLarge />
                </Zoomed>
              )
              : (
                <Compared
                  before={{ url: compared.value.url, label: "The image to compare with" }}
                  after={{ url: now.image.url, label: now.image.name }}
                />
              )}
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
          <Filmstrip all={now.all} at={now.at} />
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
            <Actions image={now.image} run={now.run} all={now.all} at={now.at} />
            <Facts
              request={cell?.request ?? now.run.request}
              known={now.image.isPlot ? { seed: now.image.seed } : {
                cell: cell?.label,
                seed: now.image.seed,
                width: now.image.width,
                height: now.image.height
              }}
            />
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
