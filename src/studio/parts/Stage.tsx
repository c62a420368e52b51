/**
 * The stage: the current run with its progress, or the latest images.
 */
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { selectedModel } from "../state/catalogue.ts"
import { change } from "../state/form.ts"
import { type GalleryImage, stagedImages, view } from "../state/gallery.ts"
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

const RunProgress = ({ run }: { readonly run: Activity }) => {
  const { isLost, position, progress, wish } = run
  const percent = Math.round((progress?.fraction ?? 0) * 100)
  const title = isLost
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
  const isKnown = position === undefined && progress !== undefined && progress.fraction > 0
  return (
    <div class="progress">
      <div class="progress-text">
        <strong>{title}</strong>
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

export const Stage = () => {
  const run = current.value
  const made = stagedImages.value
  const [first] = made
  return (
    <section class="stage" aria-label={run === undefined ? "Latest images" : "Current run"}>
      <div class="stage-frame">
        {run !== undefined
          ? run.preview === undefined
            ? (
              <div class="empty">
                <p class="muted">A preview appears after the first steps.</p>
              </div>
            )
            : <img class="stage-preview" src={run.preview} alt="Preview of the image being generated" />
          : made.length === 0
          ? <Empty />
          : (
            <div class={made.length === 1 ? "stage-images one" : "stage-images many"}>
              {made.map((image) => (
                <button
                  key={image.key}
                  type="button"
                  class="stage-image"
                  aria-label={`Open: ${image.prompt}`}
                  onClick={() => view(image, "stage")}
                >
                  <Shown image={image} isLarge />
                </button>
              ))}
            </div>
          )}
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
