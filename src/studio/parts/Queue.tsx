/**
 * The queue of the server: what executes, and what waits in which order.
 */
import type * as api from "../api.ts"
import { Icon } from "../controls/Icon.tsx"
import { cancel, cancelAll, isAway, isPaused, move, pause, running, waiting } from "../state/queue.ts"
import { activities, current } from "../state/runs.ts"
import { edit } from "../state/transfer.ts"

// A run of one of several files has the file's name before the prompt, which all of them share.
const nameOf = ({ id, request }: api.Run): string => {
  const file = activities.value.find((activity) => activity.id === id)?.file
  return [file, request.prompt].filter((part) => part !== undefined && part !== "").join(": ")
}

const Entry = ({ children, run }: { readonly run: api.Run; readonly children?: preact.ComponentChildren }) => {
  const name = nameOf(run)
  const { status } = run
  return (
    <li>
      <span class="prompt">{name === "" ? "No prompt" : name}</span>
      <span class="muted">
        {status._tag === "Running"
          ? `${Math.round(100 * status.progress.fraction)} %`
          : status._tag === "Queued"
          ? status.position === 0 ? "next" : `${status.position} ahead`
          : ""}
      </span>
      {children}
      {status._tag === "Queued"
        ? (
          <button
            type="button"
            class="button quiet low square"
            aria-label={`Edit "${name}"`}
            title="Take it out of the queue and into the form"
            onClick={() => void edit(run)}
          >
            <Icon name="edit" />
          </button>
        )
        : null}
      <button
        type="button"
        class="button quiet low square"
        aria-label={`Cancel "${name}"`}
        title="Cancel"
        onClick={() => void cancel(run.id)}
      >
        <Icon name="close" />
      </button>
    </li>
  )
}

const Mover = ({ by, disabled, run }: {
  readonly run: api.Run
  readonly by: -1 | 1
  readonly disabled: boolean
}) => (
  <button
    type="button"
    class="button quiet low square"
    aria-label={`Move "${nameOf(run)}" ${by === -1 ? "up" : "down"}`}
    title={by === -1 ? "Move up" : "Move down"}
    disabled={disabled}
    onClick={() => void move(run, by)}
  >
    <Icon name={by === -1 ? "up" : "down"} />
  </button>
)

const summary = (executing: number, queued: number): string =>
  [executing === 0 ? "" : `${executing} running`, `${queued} waiting`].filter((part) => part !== "").join(", ")

export const Queue = () => {
  const queued = waiting.value
  const executing = running.value
  // The run on the stage has its progress there.
  const others = executing.filter(({ id }) => id !== current.value?.id)
  if (isAway.value) {
    return (
      <p class="queue away" role="status">
        <Icon name="alert" />
        The server does not answer. The page tries again by itself.
      </p>
    )
  }
  if (queued.length + others.length === 0 && activities.value.length === 0 && !isPaused.value) return null
  return (
    <section class="queue" aria-label="Queue">
      <div class="queue-head">
        <h2>Queue</h2>
        <span class="muted small">
          {isPaused.value ? "Paused, " : ""}
          {summary(executing.length, queued.length)}
        </span>
        <button type="button" class="button low" onClick={() => void pause(!isPaused.value)}>
          <Icon name={isPaused.value ? "play" : "pause"} />
          {isPaused.value ? "Resume" : "Pause"}
        </button>
        <button
          type="button"
          class="button low"
          disabled={queued.length + executing.length === 0}
          onClick={() => void cancelAll()}
        >
          Cancel all
        </button>
      </div>
      {others.length + queued.length === 0 ? null : (
        <ul class="waiting" aria-label="Other runs">
          {others.map((run) => <Entry key={run.id} run={run} />)}
          {queued.map((run, i) => (
            <Entry key={run.id} run={run}>
              <Mover run={run} by={-1} disabled={i === 0} />
              <Mover run={run} by={1} disabled={i === queued.length - 1} />
            </Entry>
          ))}
        </ul>
      )}
    </section>
  )
}
