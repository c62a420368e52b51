import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { accepted } from "../../src/runs/accepted.ts"
import { apply, type RunEvent } from "../../src/runs/RunEvent.ts"
import { blobsOf, isEnded, RunRecord } from "../../src/runs/RunRecord.ts"
import { done, hash, image, newRun, progressed } from "./newRun.ts"

const small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))

/** What happens: an event, and who reports it. */
const Step = Schema.Struct({
  event: Schema.Union([
    Schema.TaggedStruct("Submitted", {}),
    Schema.TaggedStruct("Taken", { worker: Schema.Literals(["u", "v"]) }),
    Schema.TaggedStruct("Progressed", { step: small }),
    Schema.TaggedStruct("ImagesMade", { index: small, complete: Schema.Boolean }),
    Schema.TaggedStruct("Wished", { wish: Schema.Literals(["interrupt", "skip", "cancel"]) }),
    Schema.TaggedStruct("WishHeard", { wish: Schema.Literals(["interrupt", "skip", "cancel"]) }),
    Schema.TaggedStruct("Returned", { lost: Schema.Boolean }),
    Schema.TaggedStruct("Done", { interrupted: Schema.Boolean }),
    Schema.TaggedStruct("Cancelled", {}),
    Schema.TaggedStruct("Fetched", {}),
    Schema.TaggedStruct("Moved", { place: small }),
    Schema.TaggedStruct("Retried", { place: small }),
    Schema.TaggedStruct("Marked", { starred: Schema.Boolean })
  ]),
  /** Of a worker: how many attempts ago it took the run. Undefined for what others ask. */
  stale: Schema.UndefinedOr(small)
})

const eventOf = (step: typeof Step.Type["event"], run: RunRecord): RunEvent => {
  switch (step._tag) {
    case "Taken":
      return { ...step, attempt: run.attempt + 1 }
    case "Progressed":
      return progressed(step.step)
    case "ImagesMade":
      return { _tag: step._tag, images: [image(step.index, { complete: step.complete })], extras: [] }
    case "Done":
      return { ...done, interrupted: step.interrupted }
    case "Moved":
      return { ...step, priority: 0 }
    case "Marked":
      return { ...step, tags: [] }
    default:
      return step
  }
}

const encode = Schema.encodeSync(Schema.fromJsonString(Schema.toCodecJson(RunRecord)))
const decode = Schema.decodeSync(Schema.fromJsonString(Schema.toCodecJson(RunRecord)))

const fresh = (fields: Parameters<typeof newRun>[1] = {}) => accepted(newRun("a", fields), { place: 1, submittedAt: 0 })

describe("what can happen to a run", () => {
  it.prop("holds its laws, whatever is reported in whatever order", [
    Schema.Array(Step),
    Schema.Boolean,
    Schema.Boolean
  ], ([steps, keep, isBound]) => {
    let run = fresh({ keep, bound: isBound ? "u" : null })
    // Starts of attempts, and ends since the run was last in the queue.
    const seen = { attempts: 0, ends: 0 }
    for (const [at, { event: step, stale }] of steps.entries()) {
      const event = eventOf(step, run)
      const attempt = stale === undefined ? undefined : run.attempt - stale
      const after = apply(run, event, { at, attempt })
      const isFenced = attempt !== undefined && (run.state !== "running" || attempt !== run.attempt)
      if (isFenced) assert.isUndefined(after, "a worker that has lost the run changes nothing")
      if (after === undefined) continue

      const isLate = event._tag === "Retried" || event._tag === "Marked" || event._tag === "Fetched"
      assert.isTrue(!isEnded(run) || isLate, "an ended run has ended")
      if (event._tag === "Fetched") assert.isTrue(isEnded(run) && !keep, "what is kept stays, and so does what is made")
      if (event._tag === "Taken") {
        assert.strictEqual(run.state, "queued")
        seen.attempts++
      }
      assert.strictEqual(after.attempt, seen.attempts, "attempts count how often it was taken")
      if (isEnded(after) && !isEnded(run)) seen.ends++
      if (event._tag === "Retried") seen.ends = 0
      assert.strictEqual(seen.ends, isEnded(after) ? 1 : 0, "a run ends once")
      assert.strictEqual(after.endedAt !== null, isEnded(after), "it has an end when it has ended")
      if (after.state !== "running") assert.deepStrictEqual([after.progress, after.wish], [null, null])
      const indices = after.images.map(({ index }) => index)
      assert.deepStrictEqual(indices, [...new Set(indices)].toSorted((a, b) => a - b), "one image for each index")
      if (after.state === "queued") assert.isTrue(after.images.every(({ complete }) => complete))
      assert.deepStrictEqual(decode(encode(after)), after)
      run = after
    }
  })

  it("keeps the images of finished batches over a lost worker, and counts the strike", () => {
    let run = fresh()
    const happens = (event: RunEvent, attempt?: number) => {
      run = apply(run, event, { at: 5, attempt }) ?? assert.fail(event._tag)
    }
    happens({ _tag: "Taken", worker: "u", attempt: 1 })
    happens({ _tag: "ImagesMade", images: [image(0), image(1, { complete: false })], extras: [] }, 1)
    happens({ _tag: "Returned", lost: true })
    assert.deepInclude(run, { state: "queued", strikes: 1, images: [image(0)] })
    happens({ _tag: "Taken", worker: "v", attempt: 2 })
    happens({ _tag: "ImagesMade", images: [image(1)], extras: [] }, 2)
    assert.deepInclude(run, { strikes: 0, images: [image(0), image(1)] })
  })

  it("takes a wish to cancel back for nothing less, and ends with it where it goes back to the queue", () => {
    const taken = apply(fresh(), { _tag: "Taken", worker: "u", attempt: 1 }, { at: 0 }) ?? assert.fail()
    const cancelling = apply(taken, { _tag: "Wished", wish: "cancel" }, { at: 0 }) ?? assert.fail()
    assert.isUndefined(apply(cancelling, { _tag: "Wished", wish: "skip" }, { at: 0 }))
    assert.strictEqual(apply(cancelling, { _tag: "Returned", lost: true }, { at: 0 })?.state, "cancelled")
    assert.strictEqual(apply(fresh(), { _tag: "Wished", wish: "interrupt" }, { at: 0 })?.state, "cancelled")
    assert.isUndefined(apply(fresh(), { _tag: "Wished", wish: "skip" }, { at: 0 }))
  })

  it("forgets no wish for one for less, nor one that came while the one before was heard", () => {
    const taken = apply(fresh(), { _tag: "Taken", worker: "u", attempt: 1 }, { at: 0 }) ?? assert.fail()
    const interrupting = apply(taken, { _tag: "Wished", wish: "interrupt" }, { at: 0 }) ?? assert.fail()
    assert.isUndefined(apply(interrupting, { _tag: "Wished", wish: "skip" }, { at: 0 }))
    const cancelling = apply(interrupting, { _tag: "Wished", wish: "cancel" }, { at: 0 }) ?? assert.fail()
    assert.isUndefined(apply(cancelling, { _tag: "WishHeard", wish: "interrupt" }, { at: 0, attempt: 1 }))
    const heard = apply(interrupting, { _tag: "WishHeard", wish: "interrupt" }, { at: 0, attempt: 1 })
    assert.isNull(heard?.wish)
  })

  it("names no file at its end that is not kept, once its client has it", () => {
    const sent = { init_images: [hash(7)], mask: null, control_units: [] }
    const maps = [{ unit: 0, blob: hash(8), bytes: 10, format: "png" as const, path: null }]
    const ended = (fields: Parameters<typeof newRun>[1]) => {
      const taken = apply(fresh({ ...fields, sent }), { _tag: "Taken", worker: "u", attempt: 1 }, { at: 0 })
      const made = taken && apply(taken, { _tag: "ImagesMade", images: [image(0)], extras: [] }, { at: 0, attempt: 1 })
      return made && apply(made, { ...done, maps }, { at: 0, attempt: 1 }) || assert.fail()
    }
    const named = (run: RunRecord | undefined) => run && [...blobsOf(run)]
    const all = [hash(1), hash(8)]
    assert.deepStrictEqual(named(ended({ keep: true })), all)
    assert.isUndefined(apply(ended({ keep: true }), { _tag: "Fetched" }, { at: 0 }))
    // Its client waits in the process that has executed it.
    assert.deepStrictEqual(named(ended({ keep: false, bound: "u" })), [])
    // Its client waits in some other.
    const waitedFor = ended({ keep: false })
    assert.deepStrictEqual(named(waitedFor), all)
    assert.deepStrictEqual(named(apply(waitedFor, { _tag: "Fetched" }, { at: 0 })), [])
  })
})
