import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { bytesOf, gather, joiningsOf, jointTensor, scatter } from "../../src/models/joinings.ts"
import * as jointCalls from "../../src/models/jointCalls.ts"

/** Calls that were made, in their order: alone as their number, together as their numbers. */
type Made = Array<number | ReadonlyArray<number>>

/** A place to meet, where a call takes 10 ms alone, and some take another time together. */
const meetingOf = Effect.fnUntraced(function*(
  together: (calls: ReadonlyArray<number>) => Effect.Effect<number | undefined, "broken">,
  alone: (call: number) => Effect.Effect<number, "broken"> = () => Effect.as(Effect.sleep(10), 10)
) {
  const made: Made = []
  const meeting = jointCalls.make<"broken">({
    scope: yield* Effect.scope,
    alone: (call) => Effect.suspend(() => (made.push(call), alone(call))),
    together: (calls) => Effect.suspend(() => (made.push(calls), together(calls)))
  })
  const join = (call: number, options: Partial<Omit<jointCalls.JointCall, "call">> = {}) =>
    meeting.join({ call, rows: 2, most: 2, same: [], ...options })
  return { made, join, meeting }
})

const taking = (ms: number) => () => Effect.as(Effect.sleep(ms), ms)

/** Has fibers go on while the time passes. */
const pass = (ms: number) => TestClock.adjust(ms)

describe("joint calls", () => {
  for (const [ms, isJoint] of [[12, true], [25, false]] as const) {
    it.effect(`are made where they are faster than calls apart: ${ms} ms for two of 10`, () =>
      Effect.gen(function*() {
        const { join, made } = yield* meetingOf(taking(ms))
        const runs = [yield* join(1), yield* join(2)]
        yield* Effect.forkChild(
          Effect.forEach(runs, (run) => Effect.repeat(run, { times: 39 }), { concurrency: 2, discard: true })
        )
        for (let tick = 0; tick < 2000; tick++) yield* pass(1)
        // At the end the one that came last is alone.
        const last = made.slice(-10, -2)
        assert.isTrue(last.every((call) => Array.isArray(call) === isJoint), JSON.stringify(last))
        const calls = made.flat()
        assert.strictEqual(calls.filter((call) => call === 1).length, 40)
        assert.strictEqual(calls.filter((call) => call === 2).length, 40)
        // Either way both were measured.
        assert.isAtLeast(made.filter((call) => Array.isArray(call)).length, 6)
        assert.isAtLeast(made.filter((call) => call === 1).length, 3)
      }))
  }

  /** Two that have met, and know that joint calls pay. */
  const acquainted = Effect.fnUntraced(function*(
    together: (calls: ReadonlyArray<number>) => Effect.Effect<number | undefined, "broken"> = taking(12)
  ) {
    const { join, made, meeting } = yield* meetingOf(together)
    const first = yield* Scope.make()
    const second = yield* Scope.make()
    const runs = [yield* Scope.provide(join(1), first), yield* Scope.provide(join(2), second)] as const
    yield* Effect.forkChild(
      Effect.forEach(runs, (run) => Effect.repeat(run, { times: 19 }), { concurrency: 2, discard: true })
    )
    for (let tick = 0; tick < 1000; tick++) yield* pass(1)
    made.length = 0
    return { made, meeting, join, runs, leave: Scope.close(second, Exit.void) }
  })

  it.effect("wait for the others half as long as a call takes, and not for one that came late", () =>
    Effect.gen(function*() {
      const { made, runs: [first, second] } = yield* acquainted()
      yield* Effect.forkChild(first)
      // The latest call took 10 ms.
      yield* pass(4)
      assert.deepStrictEqual(made, [])
      yield* pass(1)
      assert.deepStrictEqual(made, [1])
      yield* pass(10)
      // At once, though the other one still takes part.
      yield* Effect.forkChild(first)
      yield* pass(0)
      assert.deepStrictEqual(made, [1, 1])
      // One that is back waits for a call that is being made, and is waited for again.
      yield* Effect.forkChild(second)
      yield* pass(10)
      yield* Effect.forkChild(first)
      yield* pass(0)
      assert.deepStrictEqual(made, [1, 1, [2, 1]])
      // A call that has begun is not left.
      yield* pass(20)
    }))

  it.effect("wait less and less for one that comes late again and again", () =>
    Effect.gen(function*() {
      const { join, made } = yield* meetingOf(taking(12))
      const [quick, slow] = [yield* join(1), yield* join(2)]
      const slowly = yield* Effect.forkChild(Effect.forever(Effect.andThen(slow, Effect.sleep(35))))
      const quickly = yield* Effect.forkChild(Effect.repeat(quick, { times: 199 }))
      let took = 0
      while (quickly.pollUnsafe() === undefined) {
        yield* pass(1)
        took++
      }
      yield* Effect.forkChild(Fiber.interrupt(slowly))
      yield* pass(100)
      const others = made.slice(0, made.findLastIndex((call) => call === 1 || Array.isArray(call)))
      const theirs = others.filter((call) => call === 2).length
      // What is left after all calls is what was waited.
      const busy = others.reduce<number>((sum, call) => sum + (Array.isArray(call) ? 12 : 10), 10)
      assert.isAbove(theirs + others.filter((call) => Array.isArray(call)).length, 20)
      assert.isBelow(took - busy, 200)
    }))

  it.effect("do not wait for one that has left", () =>
    Effect.gen(function*() {
      const { leave, made, meeting, runs: [first] } = yield* acquainted()
      const calling = yield* Effect.forkChild(first)
      yield* pass(0)
      assert.deepStrictEqual(made, [])
      yield* leave
      yield* pass(0)
      assert.deepStrictEqual(made, [1])
      yield* pass(10)
      assert.isDefined(calling.pollUnsafe())
      assert.strictEqual(meeting.size(), 1)
    }))

  it.effect("let one go that is interrupted while it waits, and have one end that is interrupted in a call", () =>
    Effect.gen(function*() {
      const { made, runs: [first, second] } = yield* acquainted()
      const waiting = yield* Effect.forkChild(first)
      yield* pass(1)
      yield* Fiber.interrupt(waiting)
      yield* pass(20)
      assert.deepStrictEqual(made, [])

      const both = [yield* Effect.forkChild(first), yield* Effect.forkChild(second)] as const
      yield* pass(1)
      assert.deepStrictEqual(made, [[1, 2]])
      yield* Effect.forkChild(Fiber.interrupt(both[1]))
      yield* pass(1)
      assert.isUndefined(both[1].pollUnsafe())
      yield* pass(10)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(both[0])))
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(both[1])))
    }))

  it.effect("are made apart where a joint one fails, or has no memory: each fails for itself", () =>
    Effect.gen(function*() {
      for (const joint of [Effect.fail("broken" as const), Effect.undefined]) {
        let calls = 0
        const { join, made } = yield* meetingOf(
          () => joint,
          (call) =>
            Effect.andThen(
              Effect.sleep(10),
              ++calls > 30 && call === 2 ? Effect.fail("broken" as const) : Effect.succeed(10)
            )
        )
        const runs = [yield* join(1), yield* join(2)]
        const both = yield* Effect.forkChild(
          Effect.forEach(runs, (run) => Effect.exit(Effect.repeat(run, { times: 19 })), { concurrency: 2 })
        )
        for (let tick = 0; tick < 1000; tick++) yield* pass(1)
        const [first, second] = yield* Fiber.join(both)
        assert.isTrue(first !== undefined && Exit.isSuccess(first))
        assert.isTrue(second !== undefined && Exit.isFailure(second))
        assert.lengthOf(made.filter((call) => Array.isArray(call)), 1)
      }
    }))

  it.effect("are no larger than each allows, and of calls with the same single numbers", () =>
    Effect.gen(function*() {
      const { join, made } = yield* meetingOf(taking(12))
      const strength = (value: number) => ({ most: 8, same: [Float32Array.of(value)] })
      const runs = [
        yield* join(1, strength(1)),
        yield* join(2, { ...strength(1), most: 2 }),
        yield* join(3, strength(0.5)),
        yield* join(4, strength(1))
      ]
      yield* Effect.forkChild(
        Effect.forEach(runs, (run) => Effect.repeat(run, { times: 29 }), { concurrency: 4, discard: true })
      )
      for (let tick = 0; tick < 4000; tick++) yield* pass(1)
      const joint = made.flatMap((call) => typeof call === "number" ? [] : [call])
      assert.isAbove(joint.length, 10)
      for (const calls of joint) {
        assert.lengthOf(calls, 2)
        assert.notInclude(calls, 3)
      }
      for (const call of [1, 2, 3, 4]) assert.lengthOf(made.flat().filter((made) => made === call), 30)
    }))
})

describe("inputs of joint calls", () => {
  const declared = [
    { name: "sample", type: "float32", dims: ["batch", 4, "height", "width"] },
    { name: "timestep", type: "int64", dims: ["steps"] },
    { name: "fixed", type: "float32", dims: [1] },
    { name: "strength", type: "float32", dims: [] }
  ]
  const inputs = (rows: number, timestep: bigint, first: number) => ({
    sample: {
      type: "float32",
      dims: [rows, 1, 1, 2],
      data: Float32Array.from({ length: 2 * rows }, (_, i) => first + i)
    },
    timestep: { type: "int64", dims: [1], data: BigInt64Array.of(timestep) },
    fixed: { type: "float32", dims: [1], data: Float32Array.of(7) },
    strength: { type: "float32", dims: [], data: Float32Array.of(0.5) }
  } as const)

  it("are their rows one after the other, a number for each row, or what is the same in all", () => {
    const [one, two] = [inputs(2, 999n, 0), inputs(1, 20n, 10)]
    const joinings = joiningsOf(declared, one, "sample")
    assert.deepStrictEqual(joinings, { sample: "rows", timestep: "each", fixed: "same", strength: "same" })
    const joined = (name: keyof typeof one) => {
      const joining = joinings?.[name] ?? assert.fail("it is not joined")
      const tensor = jointTensor(one[name], { own: 2, rows: 3 }, joining)
      gather(bytesOf(tensor), [{ bytes: bytesOf(one[name]), rows: 2 }, { bytes: bytesOf(two[name]), rows: 1 }], joining)
      return tensor
    }
    const sample = joined("sample")
    assert.deepStrictEqual(sample, { type: "float32", dims: [3, 1, 1, 2], data: Float32Array.of(0, 1, 2, 3, 10, 11) })
    assert.deepStrictEqual(joined("timestep"), {
      type: "int64",
      dims: [3],
      data: BigInt64Array.of(999n, 999n, 20n)
    })
    assert.deepStrictEqual(joined("strength"), one.strength)
    bytesOf(sample).reverse()
    const given = sample.data.slice()
    scatter(bytesOf(sample), [one, two].map((part, i) => ({ bytes: bytesOf(part.sample), rows: 2 - i })))
    assert.deepStrictEqual(Float32Array.of(...one.sample.data, ...two.sample.data), given)
  })

  it("cannot be joined where the network has a fixed number of rows", () => {
    const fixed = declared.with(0, { name: "sample", type: "float32", dims: [2, 4, 8, 8] })
    assert.isUndefined(joiningsOf(fixed, inputs(2, 1n, 0), "sample"))
    const halves = jointTensor({ type: "float16", dims: [2], data: Uint16Array.of(1, 2) }, { own: 2, rows: 6 }, "rows")
    assert.deepStrictEqual(halves, { type: "float16", dims: [6], data: new Uint16Array(6) })
  })
})
