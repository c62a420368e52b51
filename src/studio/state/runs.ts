/**
 * The runs that this browser tab submitted. It follows them to their end, also after a reload.
 */
import { computed, signal } from "@preact/signals"
import { toJson } from "../../core/Seed.ts"
import * as api from "../api.ts"
import { ApiFailure, failureOf, isRecord, type RunEvent } from "../api.ts"
import { sayEnded } from "./alerts.ts"
import { form, lastSeed } from "./form.ts"
import * as gallery from "./gallery.ts"
import { complain, complainToo, say, trouble } from "./notices.ts"
import { keptInTab } from "./persist.ts"
import { cellOf } from "./plot.ts"
import { clearAll, showFailure, showProblems } from "./problems.ts"
import * as queue from "./queue.ts"
import { build, formOf } from "./request.ts"
import { sources } from "./source.ts"
import { announcement, isKind, type Kind, type Tab, tab } from "./ui.ts"

type StepEvent = Extract<RunEvent, { readonly _tag: "Step" }>

export interface Activity {
  readonly id: string
  readonly kind: Kind
  readonly prompt: string
  /** The name of its init image, where there are several. */
  readonly file?: string | undefined
  /** How many runs are ahead of it in the queue; undefined once it executes. */
  readonly position: number | undefined
  readonly progress: StepEvent["progress"] | undefined
  /** The latest preview of the batch that is being made, as a URL, and the finished batches when it was made. */
  readonly preview: { readonly url: string; readonly batch: number } | undefined
  /** The user's request to end it or skip a batch, if any. */
  readonly wish: "interrupt" | "skip" | "cancel" | undefined
  /** Whether the connection is currently lost. */
  readonly isLost: boolean
}

type Started = Pick<Activity, "file" | "id" | "kind" | "prompt">

const isActivity = (value: unknown): value is Started =>
  isRecord(value) && (value["file"] === undefined || typeof value["file"] === "string") &&
  typeof value["id"] === "string" && typeof value["prompt"] === "string" &&
  (value["kind"] === "txt2img" || value["kind"] === "img2img" || value["kind"] === "inpaint")

// Without previews, which are too large to store.
const known = keptInTab("known", (value) => Array.isArray(value) ? value.filter(isActivity) : [])

export const activities = signal<ReadonlyArray<Activity>>([])
/** The run on the stage: the first that executes, or else waits. */
export const current = computed(() =>
  activities.value.find(({ position }) => position === undefined) ?? activities.value[0]
)
/** Whether a request is being sent to the server. */
export const submitting = signal(false)
/** Warnings of the run that ended last. */
export const warnings = signal<ReadonlyArray<string>>([])

const update = (id: string, patch: Partial<Activity>) => {
  activities.value = activities.value.map((activity) => activity.id === id ? { ...activity, ...patch } : activity)
}

/** Runs whose events are received at once: a browser has six connections to a server, and needs some for all else. */
const streams = { usual: 2, most: 4 }
const followed = new Set<string>()
// How the events of the others are asked for, in their order.
const unfollowed = new Map<string, () => void>()

const receive = (id: string, most: number) => {
  const ask = unfollowed.get(id)
  if (ask === undefined || followed.size >= most) return
  unfollowed.delete(id)
  followed.add(id)
  ask()
}

const receiveNext = () => {
  for (const id of unfollowed.keys()) receive(id, streams.usual)
}

// One that waits no more has begun before its turn, or has ended.
queue.waiting.subscribe((waiting) => {
  const places = new Map(waiting.map(({ id, status }) => [id, status._tag === "Queued" ? status.position : undefined]))
  for (const id of unfollowed.keys()) {
    if (places.has(id)) update(id, { position: places.get(id) })
    else receive(id, streams.most)
  }
})

const end = (id: string) => {
  activities.value = activities.value.filter((activity) => activity.id !== id)
  known.value = known.value.filter((activity) => activity.id !== id)
  followed.delete(id)
  receiveNext()
}

const count = (number: number) => number === 1 ? "1 image" : `${number} images`

const follow = (started: Started, position?: number) => {
  const { file, id, kind, prompt } = started
  activities.value = [...activities.value, {
    id,
    kind,
    prompt,
    file,
    position,
    progress: undefined,
    preview: undefined,
    wish: undefined,
    isLost: false
  }]
  const fail = (failure: ApiFailure, isKept = false) => {
    sayEnded("Failed", prompt)
    forever.value = false
    // The others go on, and may fail as well.
    if (file !== undefined) return complainToo(`${file}: the run failed. ${failure.message}`)
    announcement.value = `The run failed. ${failure.message}`
    if (failure.problems.length > 0) showFailure(failure, kind)
    else {complain(
        `The run failed. ${failure.message}`,
        isKept
          ? { label: "Retry", act: () => void again(id) }
          : undefined
      )}
  }
  // The stage changes from the run to its images at once.
  const show = async (images: ReadonlyArray<api.RunImage>) => {
    void queue.poll()
    await Promise.all([images.length > 0 ? gallery.stage(id) : undefined, gallery.refresh()])
    gallery.endLive(id)
    end(id)
  }
  const sayResult = (what: string) => sayEnded(what, prompt)
  unfollowed.set(id, () =>
    api.follow(id, {
      lost: (isLost) => update(id, { isLost }),
      gone: (failure) => {
        end(id)
        fail(failure)
      },
      event: (event) => {
        switch (event._tag) {
          case "Queued":
            return update(id, { position: event.position })
          case "Step": {
            const { preview, progress } = event
            const shown = activities.value.find((activity) => activity.id === id)?.preview
            return update(id, {
              position: undefined,
              progress,
              preview: preview !== null
                ? { url: `data:image/png;base64,${preview.png}`, batch: progress.batch }
                : shown?.batch === progress.batch
                ? shown
                : undefined
            })
          }
          case "Image":
            gallery.addLive(id, prompt, event.image)
            return update(id, { preview: undefined })
          case "Done": {
            warnings.value = event.warnings
            if (event.interrupted) forever.value = false
            void show(event.images).then(() => {
              if (forever.value && activities.value.length === 0) void generate(kind)
            })
            const [first] = event.images
            if (first !== undefined) {
              lastSeed.value = toJson(first.seed)
            }
            sayResult(event.interrupted ? "Interrupted" : "Done")
            announcement.value = event.interrupted
              ? `Interrupted, with ${count(event.images.length)}.`
              : `Done: ${count(event.images.length)}.`
            if (event.interrupted && event.images.length === 0) say("The run was interrupted before its first image.")
            return
          }
          case "Failed":
            void show(event.images)
            return fail(failureOf(event.error, event.message), true)
          case "Cancelled":
            void show(event.images)
            announcement.value = "The run was cancelled."
            forever.value = false
            if (!edited.delete(id)) say("The run was cancelled.")
            return
        }
      }
    }))
  receiveNext()
}

const asFailure = (error: unknown): ApiFailure =>
  error instanceof ApiFailure ? error : new ApiFailure("", error instanceof Error ? error.message : String(error))

/** Whether the form is submitted again each time that its run has ended, until one is ended early or fails. */
export const forever = signal(false)

/** Runs that were taken out of the queue to be edited. */
export const edited = new Set<string>()

const begin = (
  { id, status }: api.Run,
  started: Omit<Started, "id">
) => {
  known.value = [...known.value, { id, ...started }]
  announcement.value = status._tag === "Queued" && status.position > 0
    ? `In the queue, ${status.position} ahead.`
    : "Generating."
  follow({ id, ...started }, status._tag === "Queued" ? status.position : undefined)
}

/** Submits a few runs like that of an image, with a little of other noise in each. */
export const vary = async (run: api.Run, { index, seed, subseed }: gallery.GalleryImage) => {
  const request = cellOf(run.request, index)?.request ?? run.request
  const values = {
    ...formOf(request, seed, subseed),
    has_variation: true,
    subseed: -1,
    subseed_strength: 0.2,
    batch_size: 1,
    n_iter: 4
  }
  try {
    const asked = await build("txt2img", undefined, values, false)
    const { override_settings } = request
    begin(await api.submit({ ...asked.request, override_settings }), {
      kind: "txt2img",
      prompt: request.prompt
    })
    say("Four variations are being made.")
    void queue.poll()
  } catch (error) {
    complain(asFailure(error).message)
  }
}

/** Submits the form of the open tab, or of another. */
export const generate = async (kind: Tab = tab.value) => {
  if (!isKind(kind) || submitting.value) return
  submitting.value = true
  clearAll()
  try {
    // Each of several init images is a run, with the form as it is now.
    const values = form.value
    const starts = kind === "txt2img" ? [] : sources.value[kind]
    const refused: Array<{ readonly file: string; readonly message: string }> = []
    for (const start of starts.length === 0 ? [undefined] : starts) {
      const { problems, request } = await build(kind, start, values)
      if (problems.length > 0) {
        forever.value = false
        return showProblems(problems, kind)
      }
      const file = starts.length > 1 ? start?.name : undefined
      try {
        begin(await api.submit(request), {
          kind,
          prompt: values.prompt,
          file
        })
      } catch (error) {
        const failure = asFailure(error)
        // What is wrong with the form is wrong for all of them.
        if (file === undefined || failure.problems.some(({ path }) => !path.startsWith("init_images"))) throw failure
        refused.push({ file, message: failure.message })
      }
    }
    if (refused.length > 0) {
      forever.value = false
      const reasons = Map.groupBy(refused, ({ message }) => message)
      complain(
        [
          `${refused.length} of ${starts.length} files were not sent.`,
          ...[...reasons].map(([message, files]) => `${files.map(({ file }) => file).join(", ")}: ${message}`)
        ].join(" ")
      )
    }
    void queue.poll()
  } catch (error) {
    forever.value = false
    showFailure(asFailure(error), kind)
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
    complain(asFailure(error).message)
  }
}

export const interrupt = (id: string) => ask(id, "interrupt", api.interrupt)
export const cancel = (id: string) => ask(id, "cancel", api.cancel)
/** Continues with the next batch. Can be repeated. */
export const skip = async (id: string) => {
  await ask(id, "skip", api.skip)
  update(id, { wish: undefined })
}

/** Puts a run that has failed into the queue again. */
export const again = async (id: string) => {
  trouble.value = undefined
  try {
    const { request } = await api.retry(id)
    const started = {
      id,
      kind: request._tag === "Txt2Img" ? "txt2img" as const : "img2img" as const,
      prompt: request.prompt
    }
    known.value = [...known.value, started]
    follow(started)
    void gallery.refresh()
    void queue.poll()
  } catch (error) {
    complain(asFailure(error).message)
  }
}

/** Follows the runs that were active before a reload. */
export const resume = () => {
  for (const run of known.value) follow(run)
}
