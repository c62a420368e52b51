import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as QueueOrder from "../../src/runs/QueueOrder.ts"

const Command = Schema.Union([
  Schema.TaggedStruct("Submit", {
    client: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })),
    cost: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))
  }),
  Schema.TaggedStruct("Take", {})
])

interface Queued {
  readonly id: string
  readonly client: number
  readonly cost: number
  readonly place: number
  readonly priority: number
  /** Work of its own client before it, and its own. */
  readonly own: number
  /** How many runs had been taken when it was submitted. */
  readonly since: number
}

/** The runs in the order in which they are taken; all of them in the end. */
const served = (commands: ReadonlyArray<typeof Command.Type>): ReadonlyArray<Queued> => {
  const taken: Array<Queued> = []
  let queued: ReadonlyArray<Queued> = []
  let clock = 0
  const take = () => {
    const [next, ...others] = queued.toSorted(QueueOrder.compare)
    if (next === undefined) return
    clock = Math.max(clock, next.place)
    taken.push(next)
    queued = others
  }
  for (const [number, command] of commands.entries()) {
    if (command._tag === "Take") take()
    else {
      const { client, cost } = command
      const before = queued.filter((run) => run.client === client)
      const last = before.length === 0 ? undefined : Math.max(...before.map(({ place }) => place))
      const place = QueueOrder.placeOf(cost, { clock, last })
      const own = before.reduce((sum, run) => sum + run.cost, cost)
      const id = String(number).padStart(6, "0")
      queued = [...queued, { id, client, cost, place, priority: 0, own, since: taken.length }]
    }
  }
  while (queued.length > 0) take()
  return taken
}

describe("the order of the queue", () => {
  it.prop("keeps the order of one client's runs", [Schema.Array(Command)], ([commands]) => {
    for (const ofClient of Map.groupBy(served(commands), ({ client }) => client).values()) {
      const ids = ofClient.map(({ id }) => id)
      assert.deepStrictEqual(ids, ids.toSorted())
    }
  })

  it.prop(
    "lets a run wait for no more work of another client than its own client has in the queue, and one run",
    [Schema.Array(Command)],
    ([commands]) => {
      const order = served(commands)
      for (const [at, run] of order.entries()) {
        const passed = Map.groupBy(order.slice(run.since, at), ({ client }) => client)
        for (const [client, runs] of passed) {
          if (client === run.client) continue
          const work = runs.reduce((sum, { cost }) => sum + cost, 0)
          const largest = Math.max(...runs.map(({ cost }) => cost))
          assert.isAtMost(work, run.own + largest + 1e-3)
        }
      }
    }
  )

  it("chooses the first run whose model is loaded here, or nowhere else, or that has waited long enough", () => {
    const run = (model: string, submittedAt = 10_000) => ({ needs: { model, labels: [] }, submittedAt, bound: null })
    const context = { now: 10_000, loadedElsewhere: new Set(["b"]) }
    const chosen = (...first: ReadonlyArray<ReturnType<typeof run>>) =>
      QueueOrder.choose(first, { loaded: ["a"] }, context)
    assert.strictEqual(chosen(run("b"), run("c"))?.needs.model, "c")
    assert.strictEqual(chosen(run("b"), run("a"))?.needs.model, "a")
    assert.strictEqual(chosen(run("b"), run(""))?.needs.model, "")
    assert.isUndefined(chosen(run("b")))
    assert.strictEqual(chosen(run("b", 10_000 - QueueOrder.preferFor), run("a"))?.needs.model, "b")
    // A clock that was set back makes nobody wait for ever.
    assert.strictEqual(chosen(run("b", 10_000 + QueueOrder.preferFor))?.needs.model, "b")
    assert.isUndefined(chosen())
    assert.isDefined(QueueOrder.choose([{ ...run("b"), bound: "here" }], { loaded: [] }, context))
  })

  it("serves a run where model and labels are", () => {
    const needs = { model: "m", labels: ["gpu"] }
    assert.isTrue(QueueOrder.canServe({ models: undefined, labels: ["gpu", "x"] }, needs))
    assert.isTrue(QueueOrder.canServe({ models: ["m"], labels: ["gpu"] }, needs))
    assert.isFalse(QueueOrder.canServe({ models: ["n"], labels: ["gpu"] }, needs))
    assert.isFalse(QueueOrder.canServe({ models: ["m"], labels: [] }, needs))
    assert.isTrue(QueueOrder.canServe({ models: [], labels: [] }, { model: "", labels: [] }))
    assert.strictEqual(
      QueueOrder.needsKey({ model: "m", labels: ["b", "a"] }),
      QueueOrder.needsKey({ model: "m", labels: ["a", "b"] })
    )
  })

  it("asks to retry when those that wait have ended, by the pace of the latest and as many at once as now", () => {
    const after = (latest: ReadonlyArray<number>, running: number, waiting: number) =>
      QueueOrder.retryAfter({ latest, running, waiting })
    assert.strictEqual(after([], 0, 5), 1)
    assert.strictEqual(after([2000, 4000], 1, 9), 30)
    assert.strictEqual(after([2000, 4000], 3, 9), 10)
    assert.strictEqual(after([3000], 0, 9), 30)
    assert.strictEqual(after([600_000], 1, 100), 3600)
  })
})
