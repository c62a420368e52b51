import { assert, describe, it } from "@effect/vitest"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { RunCancelled } from "../../../src/contract/errors.ts"
import { Txt2Img } from "../../../src/processing/Processing.ts"
import { type HeldImage, type HeldResult, sizeOf } from "../../../src/server/host/HeldResult.ts"
import * as QueueState from "../../../src/server/host/QueueState.ts"

const bounds: QueueState.QueueBounds = { concurrency: 1, queue: 1, keepRuns: 5, keepFor: 1000, keepBytes: 300 }

const request = Txt2Img.make({ prompt: "a cat" })

const image = (bytes: number): HeldImage => ({
  index: 0,
  bytes: new Uint8Array(bytes),
  path: undefined,
  format: "png",
  seed: 1,
  subseed: 1,
  prompt: "",
  negativePrompt: "",
  infotext: "",
  width: 8,
  height: 8,
  complete: true
})

const resultOf = (images: ReadonlyArray<HeldImage>): HeldResult => ({
  images,
  extraImages: [],
  interrupted: false,
  warnings: []
})

const End = Schema.Struct({
  fails: Schema.Boolean,
  keep: Schema.Boolean,
  bytes: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 })),
  later: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 }))
})

// Submits a run that starts at once, and ends it.
const ran = (state: QueueState.QueueState, id: string, now: number, { bytes, fails, keep }: typeof End.Type) => {
  const submitted = QueueState.submit(state, { id, taskId: undefined, request, submittedAt: now }, bounds)
  const images = [image(bytes)]
  const outcome = fails ? Exit.fail(new RunCancelled({ id })) : Exit.succeed(resultOf(images))
  return QueueState.finish(QueueState.start(Result.getOrThrow(submitted), now, bounds).state, id, {
    ending: QueueState.endingOf(outcome),
    held: keep ? bytes : 0,
    outcome,
    finished: fails ? images : [],
    now
  }, bounds)
}

describe("HeldResult", () => {
  it("takes the bytes of its files and two for each character of its texts", () => {
    const result: HeldResult = {
      images: [{ ...image(10), prompt: "ab", negativePrompt: "c", infotext: "def" }],
      extraImages: [],
      interrupted: false,
      warnings: ["g"]
    }
    assert.strictEqual(sizeOf(result), 10 + 2 * 7)
  })

  it.prop(
    "is held for a run that asked for it, the newest that fit; why a run failed is held as long as the run",
    [Schema.Array(End)],
    ([ends]) => {
      let state = QueueState.empty
      let now = 0
      const model = new Map<string, typeof End.Type>()
      for (const [i, end] of ends.entries()) {
        now += end.later
        state = ran(state, `run-${i}`, now, end)
        model.set(`run-${i}`, end)
        // From the newest: what was asked to be held, until the bytes are used up.
        let left = bounds.keepBytes
        for (const run of state.ended.toReversed()) {
          const { bytes = 0, fails, keep } = model.get(run.id) ?? {}
          if (keep === true) left -= bytes
          const isHeld = keep === true && left >= 0
          assert.strictEqual(run.held, isHeld ? bytes : 0)
          assert.deepStrictEqual(QueueState.imagesOf(run).map((image) => image.bytes.length), isHeld ? [bytes] : [])
          assert.strictEqual(run.outcome !== undefined, isHeld || fails === true)
        }
      }
    },
    { arbitrary: { runs: 300 } }
  )
})
