import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { Preview } from "../../../src/runner/RunState.ts"
import { apply, type Logged, type RunEvent } from "../../../src/runs/RunEvent.ts"
import type { Moment, RunRecord } from "../../../src/runs/RunRecord.ts"
import * as RunLog from "../../../src/server/v1/RunLog.ts"
import { done, image, queuedRun } from "../../runs/newRun.ts"

const momentAt = (step: number, previewStep: number | null = null): Moment => ({
  activity: "sampling",
  text: "",
  passesDone: 0,
  passCount: 1,
  samplingStep: step,
  samplingSteps: 20,
  timeStarted: 0,
  interrupted: false,
  skipped: false,
  stopping: false,
  previewStep
})

const previewAt = (step: number): Preview => ({ step, width: 1, height: 1, pixels: new Uint8Array(3) })

const Command = Schema.Union([
  Schema.TaggedStruct("Taken", {}),
  Schema.TaggedStruct("Progressed", { previews: Schema.Boolean }),
  Schema.TaggedStruct("ImagesMade", { count: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 })) }),
  Schema.TaggedStruct("Wished", { wish: Schema.Literals(["interrupt", "skip", "cancel"]) }),
  Schema.TaggedStruct("Returned", { lost: Schema.Boolean }),
  Schema.TaggedStruct("Done", {}),
  Schema.TaggedStruct("Cancelled", {}),
  Schema.TaggedStruct("Retried", {}),
  Schema.TaggedStruct("Marked", {})
])

/** Everything that has happened to a run, as its reader meets it. */
interface Story {
  run: RunRecord
  preview: Preview | undefined
  readonly logged: Array<Logged>
  made: number
}

const begin = (): Story => ({
  run: queuedRun("a"),
  preview: undefined,
  logged: [{ seq: 1, at: 0, event: { _tag: "Submitted" } }],
  made: 0
})

const eventOf = (story: Story, command: typeof Command.Type): RunEvent => {
  switch (command._tag) {
    case "Taken":
      return { ...command, worker: "w", attempt: story.run.attempt + 1 }
    case "Progressed":
      return { _tag: "Progressed", progress: momentAt(story.logged.length, story.preview?.step ?? null) }
    case "ImagesMade":
      return {
        _tag: "ImagesMade",
        images: Array.from({ length: command.count }, (_, i) => image(story.made + i)),
        extras: []
      }
    case "Done":
      return done
    case "Retried":
      return { _tag: "Retried", place: 1 }
    case "Marked":
      return { _tag: "Marked", starred: true, tags: [] }
    default:
      return command
  }
}

const happen = (story: Story, command: typeof Command.Type) => {
  if (command._tag === "Progressed" && command.previews) story.preview = previewAt(story.logged.length)
  const event = eventOf(story, command)
  const at = story.logged.length
  const after = apply(story.run, event, { at })
  if (after === undefined) return
  story.run = after
  if (command._tag === "ImagesMade") story.made += command.count
  story.logged.push({ seq: story.logged.length + 1, at, event })
}

const factsOf = ({ preview, run }: Story): RunLog.Facts => ({
  record: run,
  ahead: 0,
  preview: run.state === "running" ? preview : undefined
})

describe("RunLog", () => {
  it.prop(
    "has each image once, one preview at most, numbers that never go back, and the end last, however it is read",
    [Schema.Array(Command)],
    ([commands]) => {
      const story = begin()
      let log = RunLog.extended(RunLog.empty, story.logged, factsOf(story))
      let read = story.logged.length
      const seen: Array<RunLog.Entry> = [...log.entries]
      for (const [i, command] of commands.entries()) {
        happen(story, command)
        // A reader may meet several events at once.
        if (i % 3 === 1) continue
        const before = log.order
        log = RunLog.extended(log, story.logged.slice(read), factsOf(story))
        read = story.logged.length
        seen.push(...RunLog.after(log, { id: 0, order: before }))
        assert.isAtMost(log.entries.filter(({ preview }) => preview !== undefined).length, 1)
      }
      log = RunLog.extended(log, story.logged.slice(read), factsOf(story))
      const whole = RunLog.extended(RunLog.empty, story.logged, { ...factsOf(story), preview: undefined })
      assert.deepStrictEqual(
        log.entries.map(({ event, id }) => [id, event]),
        whole.entries.map(({ event, id }) => [
          id,
          event
        ])
      )
      const images = whole.entries.flatMap(({ event }) => event._tag === "Image" ? [event.image.index] : [])
      assert.deepStrictEqual(images, [...new Set(images)])
      const ids = seen.map(({ id }) => id)
      assert.deepStrictEqual(ids, ids.toSorted((a, b) => a - b))
      assert.strictEqual(RunLog.isEnded(whole), story.run.endedAt !== null)
      const ends = whole.entries.filter(({ event }) => ["Cancelled", "Done", "Failed"].includes(event._tag))
      assert.lengthOf(ends, story.run.endedAt === null ? 0 : 1)
      if (ends.length === 1) assert.strictEqual(whole.entries.at(-1), ends[0])
    },
    { arbitrary: { runs: 500 } }
  )

  it("has a place in the queue again only when it has changed", () => {
    const story = begin()
    const first = RunLog.extended(RunLog.empty, story.logged, { ...factsOf(story), ahead: 2 })
    const log = [2, 1, 1].reduce(RunLog.moved, first)
    assert.deepStrictEqual(log.entries.map(({ event }) => event), [
      { _tag: "Queued", position: 2 },
      { _tag: "Queued", position: 1 }
    ])
    assert.deepStrictEqual(RunLog.after(log, { id: 0, order: 1 }), log.entries.slice(1))
  })

  it("repeats the images of an event to one who has read only some of them", () => {
    const story = begin()
    happen(story, { _tag: "Taken" })
    happen(story, { _tag: "ImagesMade", count: 3 })
    const log = RunLog.extended(RunLog.empty, story.logged, factsOf(story))
    const images = log.entries.filter(({ event }) => event._tag === "Image")
    assert.lengthOf(images, 3)
    assert.deepStrictEqual(RunLog.after(log, { id: images[0]?.id ?? 0, order: 0 }), images)
    assert.deepStrictEqual(RunLog.after(log, { id: images[2]?.id ?? 0, order: 0 }), [])
  })

  it("holds the last entries of a long run, with the number of each", () => {
    const story = begin()
    happen(story, { _tag: "Taken" })
    for (let step = 0; step < RunLog.maxEntries + 10; step++) happen(story, { _tag: "Progressed", previews: false })
    const { entries } = RunLog.extended(RunLog.empty, story.logged, factsOf(story))
    assert.lengthOf(entries, RunLog.maxEntries)
    assert.deepStrictEqual(entries.map(({ id }) => id), story.logged.slice(-RunLog.maxEntries).map(({ seq }) => seq))
  })
})
