import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Txt2Img } from "../../../src/processing/Processing.ts"
import * as QueueState from "../../../src/server/host/QueueState.ts"

const bounds: QueueState.QueueBounds = { concurrency: 2, queue: 3, keepRuns: 4, keepFor: 1000, keepBytes: 100 }

const request = Txt2Img.make({ prompt: "a cat" })

const run = (id: string, submittedAt = 0): QueueState.WaitingRun => ({ id, taskId: undefined, request, submittedAt })

const done: QueueState.Ending = { _tag: "Done", interrupted: false }

const submitted = (state: QueueState.QueueState, id: string) =>
  Result.getOrThrow(QueueState.submit(state, run(id), bounds))

const ids = (list: ReadonlyArray<{ readonly id: string }>) => list.map(({ id }) => id)

describe("QueueState", () => {
  it("starts runs in the order of submission, as many as may execute", () => {
    const queued = ["a", "b", "c"].reduce(submitted, QueueState.empty)
    const { started, state } = QueueState.start(queued, 5, bounds)
    assert.deepStrictEqual(started.map(({ id, startedAt }) => [id, startedAt]), [["a", 5], ["b", 5]])
    assert.deepStrictEqual(ids(state.waiting), ["c"])
    assert.strictEqual(QueueState.position(state, "c"), 2)
    assert.isUndefined(QueueState.position(state, "a"))
  })

  it("refuses what the queue has no room for, and says when to retry", () => {
    let state = ["a", "b"].reduce(submitted, QueueState.empty)
    state = QueueState.start(state, 0, bounds).state
    state = QueueState.finish(state, "a", { ending: done, held: 0, now: 10_000 }, bounds)
    state = QueueState.start(["c", "d", "e", "f"].reduce(submitted, state), 10_000, bounds).state
    const full = QueueState.submit(state, run("g"), bounds)
    if (Result.isSuccess(full) || full.failure._tag !== "QueueFull") return assert.fail("it was accepted")
    const { retryAfter, waiting } = full.failure
    assert.deepStrictEqual({ waiting, retryAfter }, { waiting: 3, retryAfter: 20 })
  })

  it("stays within its bounds when the clock is set back: no negative wait, and no run that is held for years", () => {
    let state = QueueState.start(["a", "b"].reduce(submitted, QueueState.empty), 1_000_000, bounds).state
    state = QueueState.finish(state, "a", { ending: done, held: 0, now: 5 }, bounds)
    state = QueueState.start(["c", "d", "e", "f"].reduce(submitted, state), 5, bounds).state
    const full = QueueState.submit(state, run("g"), bounds)
    if (Result.isSuccess(full) || full.failure._tag !== "QueueFull") return assert.fail("it was accepted")
    assert.isAtLeast(full.failure.retryAfter, 1)
    assert.deepStrictEqual(ids(QueueState.expire(state, 5, bounds).ended), ["a"])
    assert.deepStrictEqual(QueueState.expire(state, -1_000_000, bounds).ended, [])
  })

  it("accepts nothing once it is closed", () => {
    const closed = QueueState.submit(QueueState.close(QueueState.empty), run("a"), bounds)
    assert.strictEqual(Result.isFailure(closed) && closed.failure._tag, "ShuttingDown")
  })

  it("forgets the oldest ended runs by number and age, and their results by size", () => {
    const ended = (held: number) => (state: QueueState.QueueState, id: string, i: number) => {
      const { state: next } = QueueState.start(submitted(state, id), i, bounds)
      return QueueState.finish(next, id, { ending: done, held, now: i * 100 }, bounds)
    }
    const byNumber = ["a", "b", "c", "d", "e"].reduce(ended(0), QueueState.empty)
    assert.deepStrictEqual(ids(byNumber.ended), ["b", "c", "d", "e"])
    const bySize = ["a", "b", "c"].reduce(ended(60), QueueState.empty)
    assert.deepStrictEqual(bySize.ended.map(({ held }) => held), [0, 0, 60])
    assert.deepStrictEqual(ids(QueueState.expire(bySize, 1150, bounds).ended), ["c"])
  })

  it("finds a run by the client's name for it, where the newest wins, and by its id before that", () => {
    const named = (id: string): QueueState.WaitingRun => ({ ...run(id), taskId: "mine" })
    const state = [named("a"), named("b"), { ...run("mine"), taskId: "other" }].reduce(
      (state, run) => Result.getOrThrow(QueueState.submit(state, run, bounds)),
      QueueState.empty
    )
    assert.strictEqual(QueueState.find(state, "mine")?.id, "mine")
    assert.strictEqual(QueueState.find(state, "other")?.id, "mine")
    assert.strictEqual(QueueState.find({ ...state, waiting: state.waiting.slice(0, 2) }, "mine")?.id, "b")
  })

  const Command = Schema.Union([
    Schema.TaggedStruct("Submit", {}),
    Schema.TaggedStruct("Start", {}),
    Schema.TaggedStruct("Finish", { which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })) }),
    Schema.TaggedStruct("Pass", { time: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600 })) }),
    Schema.TaggedStruct("Close", {})
  ])

  it.prop(
    "keeps every bound and loses no run, whatever happens in whatever order",
    [Schema.Array(Command)],
    ([commands]) => {
      let state = QueueState.empty
      let now = 0
      let closed = false
      const accepted: Array<string> = []
      const startedOrder: Array<string> = []
      const finished = new Set<string>()
      for (const command of commands) {
        switch (command._tag) {
          case "Submit": {
            const id = `run-${accepted.length}`
            const next = QueueState.submit(state, run(id, now), bounds)
            const hasRoom = !closed &&
              (state.executing.length < bounds.concurrency || state.waiting.length < bounds.queue)
            assert.strictEqual(Result.isSuccess(next), hasRoom)
            if (Result.isSuccess(next)) {
              accepted.push(id)
              state = next.success
            }
            break
          }
          case "Start": {
            const next = QueueState.start(state, now, bounds)
            startedOrder.push(...ids(next.started).filter((id) => !finished.has(id)))
            state = next.state
            break
          }
          case "Finish": {
            const id = [...state.executing, ...state.waiting][command.which]?.id ?? "nobody"
            const before = state
            state = QueueState.finish(state, id, { ending: done, held: command.which * 20, now }, bounds)
            if (id === "nobody") assert.strictEqual(state, before)
            else finished.add(id)
            break
          }
          case "Pass":
            now += command.time
            state = QueueState.expire(state, now, bounds)
            break
          case "Close":
            closed = true
            state = QueueState.close(state)
        }
        const live = [...ids(state.executing), ...ids(state.waiting)]
        assert.isAtMost(state.executing.length, bounds.concurrency)
        assert.isAtMost(state.ended.length, bounds.keepRuns)
        assert.isAtMost(state.ended.reduce((sum, { held }) => sum + held, 0), bounds.keepBytes)
        assert.isTrue(state.ended.every(({ endedAt }) => endedAt > now - bounds.keepFor))
        // Exactly those that were accepted and not finished, each once.
        assert.deepStrictEqual(live.toSorted(), accepted.filter((id) => !finished.has(id)).toSorted())
      }
      const order = (id: string) => accepted.indexOf(id)
      assert.deepStrictEqual(startedOrder, startedOrder.toSorted((a, b) => order(a) - order(b)))
    },
    { arbitrary: { runs: 500 } }
  )
})
