import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { Progress, RunImage } from "../../../src/contract/Run.ts"
import type { Preview } from "../../../src/runner/RunState.ts"
import * as RunLog from "../../../src/server/v1/RunLog.ts"

const progressAt = (step: number, eta = 0): Progress => ({
  job: "sampling",
  text: "",
  batch: 0,
  batches: 1,
  step,
  steps: 20,
  fraction: step / 20,
  eta,
  interrupted: false,
  preview_step: null
})

const imagesUpTo = (count: number): ReadonlyArray<RunImage> =>
  Array.from({ length: count }, (_, index) => ({
    index,
    url: `/v1/runs/a/images/${index}`,
    seed: index,
    subseed: 1,
    infotext: "",
    width: 8,
    height: 8,
    format: "png",
    bytes: 1,
    complete: true
  }))

const previewAt = (step: number): Preview => ({ step, width: 1, height: 1, pixels: new Uint8Array(3) })

const moment = (step: number, more: Partial<RunLog.Moment> = {}): RunLog.Moment => ({
  progress: progressAt(step),
  images: [],
  preview: undefined,
  ...more
})

const done = (count: number): RunLog.End => ({
  _tag: "Done",
  interrupted: false,
  images: imagesUpTo(count),
  extras: [],
  warnings: []
})

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const Command = Schema.Union([
  Schema.TaggedStruct("Queued", { position: upTo(2) }),
  Schema.TaggedStruct("Executing", { step: upTo(2), made: upTo(1), previews: Schema.Boolean }),
  Schema.TaggedStruct("Ended", { made: upTo(2) })
])

const namesOf = (log: RunLog.RunLog) => log.events.map(({ event }) => event._tag)

describe("RunLog", () => {
  it.prop(
    "numbers every event, logs each image and each moment once, holds the latest preview only, and ends with the run",
    [Schema.Array(Command)],
    ([commands]) => {
      let log = RunLog.empty
      let made = 0
      let preview: Preview | undefined
      for (const command of commands) {
        const before = log
        switch (command._tag) {
          case "Queued":
            log = RunLog.queued(log, command)
            break
          case "Executing":
            made += command.made
            if (command.previews) preview = previewAt(command.step)
            log = RunLog.executing(log, moment(command.step, { images: imagesUpTo(made), preview }))
            break
          case "Ended":
            made += command.made
            log = RunLog.ended(log, done(made))
        }
        if (RunLog.isEnded(before)) {
          assert.strictEqual(log, before)
          continue
        }
        const added = RunLog.after(log, before.last?.id ?? 0).map(({ event }) => event)
        if (added.length === 0) assert.strictEqual(log, before)
        // What is logged stays as it is, but for its preview.
        const events = log.events.map(({ event }) => event)
        assert.deepStrictEqual(events, [...before.events.map(({ event }) => event), ...added])
        assert.deepStrictEqual(log.events.map(({ id }) => id), events.map((_, i) => i + 1))
        const images = events.flatMap((event) => event._tag === "Image" ? [event.image] : [])
        if (command._tag !== "Queued") assert.deepStrictEqual(images, imagesUpTo(made))
        for (const event of added) assert.notDeepEqual(event, before.last?.event)
        const held = log.events.flatMap(({ preview }) => preview === undefined ? [] : [preview])
        assert.isAtMost(held.length, 1)
        if (held.length === 1) assert.strictEqual(held[0], log.lastPreview)
        assert.strictEqual(RunLog.isEnded(log), command._tag === "Ended")
        if (command._tag === "Ended") {
          assert.lengthOf(held, 0)
          assert.deepStrictEqual(RunLog.endOf(log), done(made))
        }
      }
    },
    { arbitrary: { runs: 300 } }
  )

  it("logs a place in the queue again only when it has changed", () => {
    const positions = [2, 2, 1, 1]
    const log = positions.reduce((log, position) => RunLog.queued(log, { _tag: "Queued", position }), RunLog.empty)
    assert.deepStrictEqual(log.events.map(({ event }) => event), [
      { _tag: "Queued", position: 2 },
      { _tag: "Queued", position: 1 }
    ])
  })

  it("logs no moment again because only the estimated time left has changed, but the images that came with it", () => {
    const first = RunLog.executing(RunLog.empty, moment(1))
    assert.strictEqual(RunLog.executing(first, moment(1, { progress: progressAt(1, 5) })), first)
    const imaged = RunLog.executing(first, moment(1, { progress: progressAt(1, 5), images: imagesUpTo(1) }))
    assert.deepStrictEqual(namesOf(imaged), ["Step", "Image"])
  })

  it("brings a preview with the moment in which it is new", () => {
    const preview = previewAt(1)
    const log = [1, 2, 3].reduce((log, step) => RunLog.executing(log, moment(step, { preview })), RunLog.empty)
    assert.deepStrictEqual(log.events.map(({ preview }) => preview), [preview, undefined, undefined])
    const newer = RunLog.executing(log, moment(4, { preview: previewAt(4) }))
    assert.deepStrictEqual(newer.events.map(({ preview }) => preview?.step), [undefined, undefined, undefined, 4])
  })

  it("holds the last events of a long run, under their numbers", () => {
    const count = RunLog.maxEvents + 10
    const log = Array.from({ length: count }, (_, step) => step)
      .reduce((log, step) => RunLog.executing(log, moment(step)), RunLog.empty)
    assert.lengthOf(log.events, RunLog.maxEvents)
    assert.strictEqual(log.events[0]?.id, 11)
    assert.deepStrictEqual(RunLog.after(log, count - 2).map(({ id }) => id), [count - 1, count])
  })
})
