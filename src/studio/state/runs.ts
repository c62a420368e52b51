/**
 * Runs that this page has begun: submitted, followed to their end, and found again after a reload.
 */
import { computed, signal } from "@preact/signals"
import * as api from "../api.ts"
import { ApiFailure, failureOf, isRecord, type RunEvent } from "../api.ts"
import { learnSize, selectedModel } from "./catalogue.ts"
import { form, lastSeed } from "./form.ts"
import { kept } from "./persist.ts"
import * as pictures from "./pictures.ts"
import { clearAll, tell, tellFailure } from "./problems.ts"
import { build } from "./request.ts"
import { announcement, isKind, type Kind, say, tab } from "./ui.ts"

type StepEvent = Extract<RunEvent, { readonly _tag: "Step" }>

export interface Activity {
  readonly id: string
  readonly kind: Kind
  readonly prompt: string
  /** Whether the request left the size to the model. */
  readonly ownSize: boolean
  /** How many runs are before it; undefined once it runs. */
  readonly position: number | undefined
  readonly progress: StepEvent["progress"] | undefined
  /** The latest preview, as a URL. */
  readonly preview: string | undefined
  /** What was asked of it. */
  readonly wish: "interrupt" | "skip" | "cancel" | undefined
  /** Whether the connection is lost at the moment. */
  readonly isLost: boolean
}

const isActivity = (value: unknown): value is Pick<Activity, "id" | "kind" | "prompt" | "ownSize"> =>
  isRecord(value) && typeof value["id"] === "string" && typeof value["prompt"] === "string" &&
  typeof value["ownSize"] === "boolean" &&
  (value["kind"] === "txt2img" || value["kind"] === "img2img" || value["kind"] === "inpaint")

// Without previews, which are large.
const known = kept("runs", (value) => Array.isArray(value) ? value.filter(isActivity) : [])

export const activities = signal<ReadonlyArray<Activity>>([])
/** The run on the stage: the first that runs, or waits. */
export const current = computed(() =>
  activities.value.find(({ position }) => position === undefined) ?? activities.value[0]
)
/** A request is on its way to the server. */
export const submitting = signal(false)
/** What the run that ended last wants to be known. */
export const warnings = signal<ReadonlyArray<string>>([])

const update = (id: string, patch: Partial<Activity>) => {
  activities.value = activities.value.map((activity) => activity.id === id ? { ...activity, ...patch } : activity)
}

const end = (id: string) => {
  activities.value = activities.value.filter((activity) => activity.id !== id)
  known.value = known.value.filter((activity) => activity.id !== id)
}

const count = (number: number) => number === 1 ? "1 picture" : `${number} pictures`

const follow = (started: Pick<Activity, "id" | "kind" | "prompt" | "ownSize">, position?: number) => {
  const { id, kind, ownSize, prompt } = started
  activities.value = [...activities.value, {
    id,
    kind,
    prompt,
    ownSize,
    position,
    progress: undefined,
    preview: undefined,
    wish: undefined,
    isLost: false
  }]
  const fail = (failure: ApiFailure) => {
    end(id)
    announcement.value = `The run failed. ${failure.message}`
    tellFailure(failure, kind)
  }
  api.follow(id, {
    lost: (isLost) => update(id, { isLost }),
    gone: fail,
    event: (event) => {
      switch (event._tag) {
        case "Queued":
          return update(id, { position: event.position })
        case "Step": {
          const { preview, progress } = event
          return update(id, {
            position: undefined,
            progress,
            ...(preview !== null && { preview: `data:image/png;base64,${preview.png}` })
          })
        }
        case "Image":
          return
        case "Done": {
          end(id)
          warnings.value = event.warnings
          if (event.images.length > 0) pictures.add(id, prompt, event.images)
          const [first] = event.images
          if (first !== undefined) {
            lastSeed.value = first.seed
            if (ownSize && first.width === first.height && kind === "txt2img") learnSize(first.width)
          }
          announcement.value = event.interrupted
            ? `Interrupted, with ${count(event.images.length)}.`
            : `Done: ${count(event.images.length)}.`
          if (event.interrupted && event.images.length === 0) say("The run was interrupted before there was a picture.")
          return void pictures.refresh().catch(() => undefined)
        }
        case "Failed":
          return fail(failureOf(event.error, event.message))
        case "Cancelled":
          end(id)
          announcement.value = "The run was cancelled."
          return say("The run was cancelled.")
      }
    }
  })
}

const asFailure = (error: unknown): ApiFailure =>
  error instanceof ApiFailure ? error : new ApiFailure("", error instanceof Error ? error.message : String(error))

/** Generates what the form of the open tab asks for. */
export const generate = async () => {
  const kind = tab.value
  if (!isKind(kind) || submitting.value) return
  submitting.value = true
  clearAll()
  try {
    const { problems, request } = await build(kind)
    if (problems.length > 0) return tell(problems, kind)
    const { id, status } = await api.submit(request)
    const started = {
      id,
      kind,
      prompt: form.value.prompt,
      ownSize: form.value.width === null && form.value.height === null && !form.value.enable_hr &&
        selectedModel.value !== undefined
    }
    known.value = [...known.value, started]
    announcement.value = status._tag === "Queued" && status.position > 0
      ? `In the queue, ${status.position} before it.`
      : "Generating."
    follow(started, status._tag === "Queued" ? status.position : undefined)
  } catch (error) {
    tellFailure(asFailure(error), kind)
  } finally {
    submitting.value = false
  }
}

const ask = async (id: string, wish: "interrupt" | "skip" | "cancel", send: (id: string) => Promise<unknown>) => {
  update(id, { wish })
  try {
    await send(id)
  } catch (error) {
    update(id, { wish: undefined })
    say(asFailure(error).message)
  }
}

export const interrupt = (id: string) => ask(id, "interrupt", api.interrupt)
export const cancel = (id: string) => ask(id, "cancel", api.cancel)
/** Goes on with the next batch. It may be asked again. */
export const skip = async (id: string) => {
  await ask(id, "skip", api.skip)
  update(id, { wish: undefined })
}

/** Follows again what a reload has left. */
export const resume = () => {
  for (const run of known.value) follow(run)
}
