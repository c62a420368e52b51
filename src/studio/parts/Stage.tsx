/**
 * The stage: the current run with its progress, or the latest images.
 */
import type { ComponentChildren } from "preact"
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { selectedModel } from "../state/catalogue.ts"
import { change } from "../state/form.ts"
import { dragging, type GalleryImage, liveOf, stagedImages, view } from "../state/gallery.ts"
import { isPaused } from "../state/queue.ts"
import { type Activity, cancel, current, interrupt, skip, warnings } from "../state/runs.ts"
import { download, reuse, send } from "../state/transfer.ts"
import { tab } from "../state/ui.ts"
import { Queue } from "./Queue.tsx"

const shapes = [
  "a red circle on a blue background",
  "a large yellow star on a black background",
  "a pink heart on a cyan background",
  "a white star above a purple heart on a green background"
]
const scenes = [
  "a lighthouse on a cliff at dawn, watercolour",
  "a bowl of oranges on a wooden table, soft light",
  "a quiet street in the rain, seen from above"
]

const EmptyArt = () => (
  <svg class="empty-art" viewBox="0 0 120 72" fill="none" aria-hidden="true" focusable="false">
    <rect
      x="1"
      y="13"
      width="46"
      height="46"
      rx="9"
      fill="var(--surface)"
      stroke="var(--line-strong)"
      stroke-width="1.5"
    />
    <rect
      x="73"
      y="13"
      width="46"
      height="46"
      rx="9"
      fill="var(--surface)"
      stroke="var(--line-strong)"
      stroke-width="1.5"
    />
    <rect
      x="31"
      y="3"
      width="58"
      height="66"
      rx="11"
      fill="var(--surface)"
      stroke="var(--line-strong)"
      stroke-width="1.5"
    />
    <circle cx="60" cy="30" r="13" fill="var(--accent)" />
    <path d="M40 57c6.5-7 13-7 20 0s13.5 7 20 0" stroke="var(--accent)" stroke-width="2.5" stroke-linecap="round" />
  </svg>
)

const Empty = () => {
  if (tab.value !== "txt2img") {
    return (
      <div class="empty waits">
        <EmptyArt />
        <p class="muted">The result appears here.</p>
      </div>
    )
  }
  const examples = selectedModel.value?.embedded === false ? scenes : shapes
  return (
    <div class="empty">
      <EmptyArt />
      <h2>What would you like to see?</h2>
      <p class="muted">
        {selectedModel.value?.embedded === false
          ? "Describe an image, then press Generate. Or start with one of these prompts:"
          : "The embedded model draws simple shapes. Choose one of these prompts, then press Generate:"}
      </p>
      <div class="chips">
        {examples.map((prompt) => (
          <button
            key={prompt}
            type="button"
            class="chip"
            onClick={() => change({ prompt })}
          >
            {prompt}
          </button>
        ))}
      </div>
    </div>
  )
}

const seconds = (value: number): string =>
  value < 60
    ? `${Math.max(1, Math.round(value))} s left`
    : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s left`

const sentenceCase = (words: string): string => words.slice(0, 1).toUpperCase() + words.slice(1)

const titleOf = ({ isLost, position, progress, wish }: Activity): string =>
  isLost
    ? "Connection lost; reconnecting"
    : wish === "interrupt" || progress?.interrupted === true
    ? "Ending after this step"
    : wish === "cancel"
    ? "Cancelling"
    : position !== undefined
    ? isPaused.value
      ? "The queue is paused"
      : position === 0
      ? "Starting"
      : `In the queue, ${position} ahead`
    : progress === undefined
    ? "Starting"
    : progress.text === "" || progress.text.startsWith("Batch")
    ? sentenceCase(progress.job)
    : progress.text

/** The run in a line, where the stage may be out of sight. */
export const RunStrip = () => {
  const run = current.value
  if (run === undefined) return null
  const { position, progress } = run
  const percent = Math.round((progress?.fraction ?? 0) * 100)
  return (
    <div class="strip">
      <span>
        {titleOf(run)}
        {position === undefined && progress !== undefined ? `, ${percent} %` : ""}
      </span>
      <button
        type="button"
        class="button quiet low"
        disabled={run.wish !== undefined}
        onClick={() => void (position === undefined ? interrupt(run.id) : cancel(run.id))}
      >
        {position === undefined ? "Stop" : "Cancel"}
      </button>
      <div class="bar" aria-hidden="true">
        <div style={{ transform: `scaleX(${Math.max(0.01, progress?.fraction ?? 0)})` }} />
      </div>
    </div>
  )
}

const RunProgress = ({ run }: { readonly run: Activity }) => {
  const { position, progress, wish } = run
  const percent = Math.round((progress?.fraction ?? 0) * 100)
  const title = titleOf(run)
  const isKnown = position === undefined && progress !== undefined && progress.fraction > 0
  return (
    <div class="progress">
      <div class="progress-text">
        <strong>{title}</strong>
        {run.file === undefined ? null : <span class="file">{run.file}</span>}
        {progress === undefined || progress.steps === 0 ? null : <span>Step {progress.step} of {progress.steps}</span>}
        {progress === undefined || progress.batches < 2
          ? null
          : <span>Batch {Math.min(progress.batch + 1, progress.batches)} of {progress.batches}</span>}
        {isKnown ? <span class="end">{percent} %{progress.eta > 0 ? `, ${seconds(progress.eta)}` : ""}</span> : null}
      </div>
      <div
        class={isKnown ? "bar" : "bar unknown"}
        role="progressbar"
        aria-label="Progress"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={isKnown ? percent : undefined}
      >
        <div style={isKnown ? { transform: `scaleX(${Math.max(0.01, progress.fraction)})` } : {}} />
      </div>
      <div class="actions">
        {position !== undefined
          ? (
            <button type="button" class="button low" disabled={wish !== undefined} onClick={() => void cancel(run.id)}>
              <Icon name="close" />
              Cancel
            </button>
          )
          : (
            <>
              <button
                type="button"
                class="button low"
                disabled={wish !== undefined}
                onClick={() => void interrupt(run.id)}
              >
                <Icon name="stop" />
                Interrupt
              </button>
              {progress !== undefined && progress.batches > 1
                ? (
                  <button type="button" class="button low" onClick={() => void skip(run.id)}>
                    <Icon name="skip" />
                    Skip this batch
                  </button>
                )
                : null}
            </>
          )}
      </div>
    </div>
  )
}

const Caption = ({ image }: { readonly image: GalleryImage }) => (
  <div class="caption">
    <span class="facts-line">
      {image.width} × {image.height}, seed {image.seed}
      {image.complete ? "" : ", interrupted"}
    </span>
    <div class="actions">
      <button type="button" class="button low" onClick={() => void send(image, "img2img")}>
        <Icon name="image" />
        Image to image
      </button>
      <button type="button" class="button low" onClick={() => void send(image, "inpaint")}>
        <Icon name="mask" />
        Inpaint
      </button>
      <button type="button" class="button low" onClick={() => void reuse(image)}>
        <Icon name="reuse" />
        Reuse settings
      </button>
      <button type="button" class="button low" onClick={() => void download(image)}>
        <Icon name="download" />
        Download
      </button>
    </div>
  </div>
)

const Made = ({ children, images, isOld = false }: {
  readonly images: ReadonlyArray<GalleryImage>
  /** Whether they are of the run before. */
  readonly isOld?: boolean | undefined
  readonly children?: ComponentChildren
}) => (
  <div
    class={`stage-images ${images.length === 1 && children === undefined ? "one" : "many"}${isOld ? " old" : ""}${
      images[0]?.isPlot === true ? " plotted" : ""
    }`}
  >
    {images.map((image) => (
      <button
        key={image.key}
        type="button"
        class="stage-image"
        aria-label={`Open: ${image.name}`}
        onClick={() => view(image, "stage")}
        {...dragging(image)}
      >
        {/* The cells of a plot are many: small copies of them suffice next to it. */}
        <Shown image={image} isLarge={image.isPlot || images[0]?.isPlot !== true} />
      </button>
    ))}
    {children}
  </div>
)

const Live = ({ old, run }: { readonly run: Activity; readonly old: ReadonlyArray<GalleryImage> }) => {
  const made = liveOf(run.id)
  const preview = run.preview === undefined
    ? null
    : <img class="stage-preview" src={run.preview.url} alt="Preview of the image being generated" />
  if (made.length > 0) return <Made images={made}>{preview ?? <span />}</Made>
  if (preview !== null) return preview
  return old.length > 0
    ? <Made images={old} isOld />
    : (
      <div class="empty">
        <p class="muted">A preview appears after the first steps.</p>
      </div>
    )
}

export const Stage = () => {
  const run = current.value
  const made = stagedImages.value
  const [first] = made
  return (
    <section class="stage" aria-label={run === undefined ? "Latest images" : "Current run"}>
      <div class="stage-frame">
        {run !== undefined
          ? <Live run={run} old={made} />
          : made.length === 0
          ? <Empty />
          : <Made images={made} />}
      </div>
      {run !== undefined ? <RunProgress run={run} /> : null}
      <Queue />
      {run === undefined && first !== undefined && made.length === 1 ? <Caption image={first} /> : null}
      {run === undefined && warnings.value.length > 0
        ? <div class="warnings">{warnings.value.map((warning) => <p key={warning}>{warning}</p>)}</div>
        : null}
    </section>
  )
}
