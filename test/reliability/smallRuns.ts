/** Small runs of every kind, what each of them must give, and whether servers and stores have given it. */
import { assert } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import * as Processing from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { BlobStore, hashOf } from "../../src/runs/BlobStore.ts"
import { type Logged } from "../../src/runs/RunEvent.ts"
import { RunStore } from "../../src/runs/RunStore.ts"
import { file, rectangle, slopes } from "../diffusion/pictures.ts"

/** A request with a key of its own, as its client sends it. */
export interface SmallRun {
  readonly key: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Text to image and image to image, of one to three batches of one or two images. */
export const smallRuns = (count: number) =>
  Effect.gen(function*() {
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")
    const picture = base64(yield* file(slopes()))
    const mask = base64(yield* file(rectangle([8, 8, 40, 56])))
    return Array.from({ length: count }, (_, index): SmallRun => {
      const fields = {
        prompt: ["a heart", "a red circle", "a blue star"][index % 3],
        seed: 100 + index,
        steps: 2 + index % 3,
        width: 64,
        height: 64,
        n_iter: 1 + index % 3,
        batch_size: index % 4 === 3 ? 2 : 1,
        sampler_name: index % 2 === 0 ? "Euler a" : "DPM++ 2M"
      }
      switch (index % 5) {
        case 2:
          return { key: `run ${index}`, fields: { ...fields, init_images: [picture], denoising_strength: 0.75 } }
        case 4:
          return { key: `run ${index}`, fields: { ...fields, init_images: [picture], mask, denoising_strength: 0.9 } }
        default:
          return { key: `run ${index}`, fields }
      }
    })
  })

/** The hashes of a run's files. */
interface Files {
  readonly images: ReadonlyArray<string>
  readonly extras: ReadonlyArray<string>
}

/** What this process makes of a request. */
const madeHere = Effect.fnUntraced(function*({ fields }: SmallRun) {
  const isImg2Img = "init_images" in fields
  const processing = yield* Processing.decode({
    ...fields,
    _tag: isImg2Img ? "Img2Img" : "Txt2Img",
    override_settings: shown
  })
  const { extraImages, images } = yield* processImages(processing)
  const files: Files = {
    images: images.map(({ bytes }) => hashOf(bytes)),
    extras: extraImages.map(({ bytes }) => hashOf(bytes))
  }
  return files
})

/** What a server gives by default, without saving it. */
const shown = { samples_save: false, grid_save: false, save_init_img: false, return_grid: true }

const Link = Schema.Struct({ url: Schema.String })
const Status = Schema.Union([
  Schema.TaggedStruct("Done", {
    interrupted: Schema.Boolean,
    images: Schema.Array(Link),
    extras: Schema.Array(Link)
  }),
  Schema.TaggedStruct("Running", { progress: Schema.Struct({ batch: Schema.Int }) }),
  Schema.TaggedStruct("Queued", {}),
  Schema.TaggedStruct("Failed", { message: Schema.String }),
  Schema.TaggedStruct("Cancelled", {})
])

/** A run as `/v1` shows it. */
const Shown = Schema.Struct({ id: Schema.String, attempts: Schema.Int, status: Status })
const Page = Schema.Struct({ runs: Schema.Array(Shown), next: Schema.NullOr(Schema.String) })

const Queue = Schema.Struct({ queued: Schema.Int, running: Schema.Int })

class NotUnderstood extends Data.TaggedError("NotUnderstood")<{ readonly reply: string; readonly cause: unknown }> {}

/** A server's `/v1`, for a client that bears its end. */
export const clientOf = (url: string) => {
  const request = (path: string, init: RequestInit = {}) =>
    Effect.tryPromise(async (signal) => {
      const reply = await fetch(url + path, { ...init, signal })
      return { status: reply.status, bytes: Buffer.from(await reply.arrayBuffer()) }
    })
  const json = <A>(schema: Schema.Codec<A, unknown>) => ({ bytes, status }: { status: number; bytes: Buffer }) =>
    Effect.mapError(
      Schema.decodeUnknownEffect(Schema.fromJsonString(schema))(bytes.toString()),
      (error) => new NotUnderstood({ reply: `${status} ${bytes.toString().slice(0, 500)}`, cause: error })
    )
  const list = Effect.gen(function*() {
    const runs: Array<typeof Shown.Type> = []
    let before = ""
    while (true) {
      const page = yield* Effect.flatMap(request(`/v1/runs?limit=100${before}`), json(Page))
      runs.push(...page.runs)
      if (page.next === null) return runs
      before = `&before=${page.next}`
    }
  })
  return {
    request,
    list,
    /** Submits a run, and gives its id once it is accepted. */
    submit: ({ fields, key }: SmallRun) =>
      request("/v1/runs", {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body: JSON.stringify({ ...fields, save: false })
      }).pipe(
        Effect.tap(({ bytes, status }) =>
          Effect.sync(() => assert.include([202, 503], status, bytes.toString().slice(0, 500)))
        ),
        Effect.filterOrFail(({ status }) => status === 202),
        Effect.flatMap(json(Shown)),
        Effect.map(({ id }) => id)
      ),
    /** How many runs have not ended. Costs much less than their list. */
    open: Effect.map(
      Effect.flatMap(request("/v1/queue"), json(Queue)),
      ({ queued, running }) => queued + running
    ),
    /** Batches that are finished, of all runs, and how many runs have not ended. */
    standing: Effect.map(list, (runs) => ({
      made: runs.reduce(
        (sum, { status }) =>
          sum + (status._tag === "Done" ? status.images.length : status._tag === "Running" ? status.progress.batch : 0),
        0
      ),
      open: runs.filter(({ status }) => status._tag === "Queued" || status._tag === "Running").length
    })),
    files: Effect.fnUntraced(function*(run: typeof Shown.Type) {
      const { status } = run
      if (status._tag !== "Done" || status.interrupted) return yield* Effect.die(new Error(JSON.stringify(run)))
      const fileAt = ({ url }: typeof Link.Type) => Effect.map(request(url), ({ bytes }) => hashOf(bytes))
      const files: Files = {
        images: yield* Effect.forEach(status.images, fileAt),
        extras: yield* Effect.forEach(status.extras, fileAt)
      }
      return files
    }),
    /** The names of all events of a run that has ended. */
    events: Effect.fnUntraced(function*(id: string) {
      const { bytes } = yield* request(`/v1/runs/${id}/events`)
      return Array.from(bytes.toString().matchAll(/^event: (.*)$/gm), ([, name]) => name)
    })
  }
}
export type Client = ReturnType<typeof clientOf>

/** Ids by key, and every key's every answer. */
export type Answers = Map<string, Set<string>>

/** Asserts that every run has ended once, with the files that this process makes, and that there are no others. */
export const assertAll = Effect.fnUntraced(function*(client: Client, runs: ReadonlyArray<SmallRun>, answers: Answers) {
  const shown = yield* client.list
  const ids = runs.map(({ key }) => {
    const answered = [...answers.get(key) ?? []]
    assert.lengthOf(answered, 1, `${key} is one run`)
    return answered[0] ?? ""
  })
  assert.deepStrictEqual(shown.map(({ id }) => id).toSorted(), ids.toSorted(), "no run is lost, and there is no other")
  for (const [index, run] of runs.entries()) {
    const found = shown.find(({ id }) => id === ids[index])
    if (found === undefined) continue
    const expected = yield* madeHere(run)
    assert.deepStrictEqual(yield* client.files(found), expected, run.key)
    const events = yield* client.events(found.id)
    assert.deepStrictEqual(
      events.filter((name) => name !== "step" && name !== "queued"),
      [...expected.images.map(() => "image"), "done"],
      run.key
    )
  }
})

/** Asserts that the log of every run in the store is one story with one end, and that every file of it is whole. */
export const assertLogs = Effect.gen(function*() {
  const store = yield* RunStore
  const blobs = yield* BlobStore
  const { runs } = yield* store.list({ limit: 1000 })
  for (const run of runs) {
    const logged = yield* store.read(run.id, 0)
    assert.strictEqual(run.state, "done")
    const numbers = logged.map(({ seq }) => seq)
    assert.deepStrictEqual(numbers, numbers.toSorted((a, b) => a - b))
    const tags = logged.map(({ event }) => event._tag)
    assert.strictEqual(tags[0], "Submitted")
    assert.strictEqual(tags.at(-1), "Done")
    assert.lengthOf(tags.filter((tag) => tag === "Done" || tag === "Failed" || tag === "Cancelled"), 1)
    assert.deepStrictEqual(attemptsIn(logged), Array.from({ length: run.attempt }, (_, index) => index + 1))
    const made = logged.flatMap(({ event }) => event._tag === "ImagesMade" ? event.images : [])
    assert.deepStrictEqual(
      made.map(({ index }) => index).toSorted((a, b) => a - b),
      run.images.map(({ index }) => index)
    )
    yield* Effect.forEach([...run.images, ...run.extras], ({ blob }) => blobs.get(blob))
  }
  return runs
})

const attemptsIn = (logged: ReadonlyArray<Logged>) =>
  logged.flatMap(({ event }) => event._tag === "Taken" ? [event.attempt] : [])

/** Asserts that every file of a folder of blobs is what its name says. */
export const assertWhole = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const names = (yield* fs.readDirectory(folder, { recursive: true })).filter((name) => /[0-9a-f]{64}$/.test(name))
  for (const name of names) assert.strictEqual(hashOf(yield* fs.readFile(`${folder}/${name}`)), name.slice(-64))
  return names.length
})
