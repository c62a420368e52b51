import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Lifecycle from "../../src/runner/Lifecycle.ts"

const lawfulOrder = ["prepare", "onPrepare", "execute", "onExecute", "finalize", "onFinalize"] as const
type Step = typeof lawfulOrder[number]

/** Stages on plain values, whose steps can be replaced, and the order in which they were reached. */
const traced = (steps: { readonly [S in Step]?: Effect.Effect<void, string> } = {}) => {
  const trace: Array<Step> = []
  const reach = (step: Step) =>
    Effect.suspend(() => {
      trace.push(step)
      return steps[step] ?? Effect.void
    })
  // A hook has no typed error.
  const hook = (step: Step) => Effect.orDie(reach(step))
  const stages = Lifecycle.stages({
    prepare: (request: string) => Effect.as(reach("prepare"), { request }),
    execute: ({ request }) => Effect.as(reach("execute"), request.length),
    finalize: ({ request }, length) => Effect.as(reach("finalize"), `${request}: ${length}`)
  })
  const hooks: Lifecycle.Hooks<unknown, unknown, unknown> = {
    ...Lifecycle.noop,
    onPrepare: () => hook("onPrepare"),
    onExecute: () => hook("onExecute"),
    onFinalize: () => hook("onFinalize")
  }
  return { trace, stages, hooks, run: Lifecycle.run(stages, hooks, "cat") }
}

describe("Lifecycle.run", () => {
  it.effect("goes through prepare, onPrepare, execute, onExecute, finalize, onFinalize", () =>
    Effect.gen(function*() {
      const { run, trace } = traced()
      assert.strictEqual(yield* run, "cat: 3")
      assert.deepStrictEqual(trace, [...lawfulOrder])
    }))

  it.effect("goes through the stages alone under hooks that do nothing, and gives the same", () =>
    Effect.gen(function*() {
      const { stages, trace } = traced()
      assert.strictEqual(yield* Lifecycle.run(stages, Lifecycle.noop, "cat"), "cat: 3")
      assert.deepStrictEqual(trace, ["prepare", "execute", "finalize"])
    }))

  it.effect("gives each stage and each hook what came before it", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const see = (...given: ReadonlyArray<unknown>) => Effect.sync(() => void seen.push(given))
      const state = { state: 1 }
      const executed = { executed: 2 }
      const result = { result: 3 }
      const stages = Lifecycle.stages({
        prepare: (request: string) => Effect.as(see("prepare", request), state),
        execute: (given) => Effect.as(see("execute", given), executed),
        finalize: (given, made) => Effect.as(see("finalize", given, made), result)
      })
      const hooks = Lifecycle.combine<typeof state, typeof executed, typeof result>([{
        onPrepare: (...given) => see("onPrepare", ...given),
        onExecute: (...given) => see("onExecute", ...given),
        onFinalize: (...given) => see("onFinalize", ...given)
      }])
      assert.strictEqual(yield* Lifecycle.run(stages, hooks, "cat"), result)
      assert.deepStrictEqual(seen, [
        ["prepare", "cat"],
        ["onPrepare", state],
        ["execute", state],
        ["onExecute", state, executed],
        ["finalize", state, executed],
        ["onFinalize", state, result]
      ])
    }))

  it.effect.each(lawfulOrder)("ends when %s fails, and keeps its error", (step) =>
    Effect.gen(function*() {
      const { run, trace } = traced({ [step]: Effect.fail("no") })
      const exit = yield* Effect.exit(run)
      assert.deepStrictEqual(exit, step.startsWith("on") ? Exit.die("no") : Exit.fail("no"))
      assert.deepStrictEqual(trace, lawfulOrder.slice(0, lawfulOrder.indexOf(step) + 1))
    }))

  it.effect.each(lawfulOrder)("ends when %s has a defect", (step) =>
    Effect.gen(function*() {
      const { run, trace } = traced({ [step]: Effect.die("bug") })
      assert.deepStrictEqual(yield* Effect.exit(run), Exit.die("bug"))
      assert.deepStrictEqual(trace, lawfulOrder.slice(0, lawfulOrder.indexOf(step) + 1))
    }))

  it.effect.each(lawfulOrder)(
    "ends when it is interrupted in %s, whose finalizers run",
    (step) =>
      Effect.gen(function*() {
        const reached = yield* Deferred.make<void>()
        let finalized = false
        const hanging = Effect.ensuring(
          Effect.andThen(Deferred.succeed(reached, undefined), Effect.never),
          Effect.sync(() => {
            finalized = true
          })
        )
        const { run, trace } = traced({ [step]: hanging })
        const fiber = yield* Effect.forkChild(run)
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.isTrue(finalized)
        assert.deepStrictEqual(trace, lawfulOrder.slice(0, lawfulOrder.indexOf(step) + 1))
      })
  )

  it.effect.each(["prepare", "execute", "finalize"] as const)(
    "takes an exception that %s throws for its defect, and shows it to the hooks around",
    (stage) =>
      Effect.gen(function*() {
        const { stages, trace } = traced()
        const exits: Array<string> = []
        const hooks: Lifecycle.Hooks<unknown, unknown, unknown> = {
          ...Lifecycle.noop,
          around: (stage, effect) =>
            Effect.onExit(effect, (exit) => Effect.sync(() => void exits.push(stage + exit._tag)))
        }
        const broken = {
          ...stages,
          [stage]: () => {
            throw new Error("bug")
          }
        }
        const exit = yield* Effect.exit(Lifecycle.run(broken, hooks, "cat"))
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual(exits.at(-1), `${stage}Failure`)
        assert.notInclude(trace, stage)
      })
  )

  it.effect("does nothing before it is run, and everything again when it is run again", () =>
    Effect.gen(function*() {
      const { run, trace } = traced()
      assert.isEmpty(trace)
      yield* run
      yield* run
      assert.deepStrictEqual(trace, [...lawfulOrder, ...lawfulOrder])
    }))

  const outcome = Schema.Literals(["succeed", "fail", "die", "interrupt", "throw"])
  const scripts = Arbitrary.array(Arbitrary.schema(Schema.Struct({
    // Most steps go well, or few runs would come far.
    step: Schema.Literals([...lawfulOrder, "none", "none", "none"]),
    outcome
  })))

  it.effect.prop(
    "keeps the order through any run of successes, failures, defects and interruptions",
    [scripts],
    ([runs]) =>
      Effect.gen(function*() {
        const results = yield* Effect.forEach(
          runs,
          Effect.fnUntraced(function*({ outcome, step }) {
            const reached = yield* Deferred.make<void>()
            const outcomes = {
              succeed: Effect.void,
              fail: Effect.fail("no"),
              die: Effect.die("bug"),
              interrupt: Effect.andThen(Deferred.succeed(reached, undefined), Effect.never),
              throw: Effect.suspend(() => {
                throw new Error("bug")
              })
            }
            const { run, trace } = traced(step === "none" ? {} : { [step]: outcomes[outcome] })
            const fiber = yield* Effect.forkChild(run)
            if (outcome === "interrupt" && step !== "none") {
              yield* Deferred.await(reached)
              yield* Fiber.interrupt(fiber)
            }
            return { outcome, step, trace, exit: yield* Fiber.await(fiber) }
          }),
          { concurrency: 4 }
        )
        for (const { exit, outcome, step, trace } of results) {
          const ends = step !== "none" && outcome !== "succeed"
          assert.deepStrictEqual(trace, ends ? lawfulOrder.slice(0, lawfulOrder.indexOf(step) + 1) : [...lawfulOrder])
          assert.strictEqual(Exit.isSuccess(exit), !ends)
          assert.strictEqual(Exit.hasInterrupts(exit), ends && outcome === "interrupt")
          assert.strictEqual(Exit.hasFails(exit), ends && outcome === "fail" && !step.startsWith("on"))
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})

describe("Lifecycle.stages", () => {
  class Ink extends Context.Service<Ink, string>()("test/Ink") {}
  class Paper extends Context.Service<Paper, string>()("test/Paper") {}

  it.effect("lets each stage have its own requirements", () =>
    Effect.gen(function*() {
      const stages = Lifecycle.stages({
        prepare: (request: string) => Effect.map(Ink, (ink) => `${request} in ${ink}`),
        execute: (state) => Effect.map(Paper, (paper) => `${state} on ${paper}`),
        finalize: (_, text) => Effect.succeed(text.toUpperCase())
      })
      const result = yield* Lifecycle.run(stages, Lifecycle.noop, "cat").pipe(
        Effect.provideContext(Context.make(Ink, "blue").pipe(Context.add(Paper, "white")))
      )
      assert.strictEqual(result, "CAT IN BLUE ON WHITE")
    }))
})

/** Sets of hooks that write down their calls in one list. */
const recorder = () => {
  const calls: Array<string> = []
  const call = (name: string) => Effect.sync(() => void calls.push(name))
  const set = (name: string): Lifecycle.Hooks<unknown, unknown, unknown> => ({
    onPrepare: () => call(`${name} onPrepare`),
    onExecute: () => call(`${name} onExecute`),
    onFinalize: () => call(`${name} onFinalize`),
    around: (stage, effect) =>
      Effect.andThen(call(`${name} before ${stage}`), Effect.tap(effect, () => call(`${name} after ${stage}`)))
  })
  return { calls, set }
}

const nested = (stage: string) => [
  `1st before ${stage}`,
  `2nd before ${stage}`,
  `3rd before ${stage}`,
  `3rd after ${stage}`,
  `2nd after ${stage}`,
  `1st after ${stage}`
]
const inTurn = (hook: string) => [`1st ${hook}`, `2nd ${hook}`, `3rd ${hook}`]

describe("Lifecycle.combine", () => {
  it.effect("runs sets in the order given, the first one's around outermost", () =>
    Effect.gen(function*() {
      const { calls, set } = recorder()
      yield* Lifecycle.run(traced().stages, Lifecycle.combine([set("1st"), set("2nd"), set("3rd")]), "cat")
      assert.deepStrictEqual(calls, [
        ...nested("prepare"),
        ...inTurn("onPrepare"),
        ...nested("execute"),
        ...inTurn("onExecute"),
        ...nested("finalize"),
        ...inTurn("onFinalize")
      ])
    }))

  it.effect("takes a set's missing hooks for none", () =>
    Effect.gen(function*() {
      const { calls, set } = recorder()
      const { onExecute } = set("1st")
      const { onFinalize } = set("2nd")
      yield* Lifecycle.run(traced().stages, Lifecycle.combine([{ onExecute }, {}, { onFinalize }]), "cat")
      assert.deepStrictEqual(calls, ["1st onExecute", "2nd onFinalize"])
    }))

  it.effect("starts a hook when the one before it has ended", () =>
    Effect.gen(function*() {
      const { calls, set } = recorder()
      const gate = yield* Deferred.make<void>()
      const reached = yield* Deferred.make<void>()
      const slow = {
        onPrepare: () => Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(gate))
      }
      const fiber = yield* Effect.forkChild(
        Lifecycle.run(traced().stages, Lifecycle.combine([slow, { onPrepare: set("2nd").onPrepare }]), "cat")
      )
      yield* Deferred.await(reached)
      assert.isEmpty(calls)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(calls, ["2nd onPrepare"])
    }))

  it.effect("runs no later set when a hook has a defect", () =>
    Effect.gen(function*() {
      const { calls, set } = recorder()
      const broken = { onExecute: () => Effect.die("bug") }
      const hooks = Lifecycle.combine([broken, { onExecute: set("2nd").onExecute, onFinalize: set("2nd").onFinalize }])
      assert.deepStrictEqual(yield* Effect.exit(Lifecycle.run(traced().stages, hooks, "cat")), Exit.die("bug"))
      assert.isEmpty(calls)
    }))

  it.effect("of no sets is no hooks", () =>
    Effect.gen(function*() {
      const { run, stages } = traced()
      assert.strictEqual(yield* Lifecycle.run(stages, Lifecycle.combine([]), "cat"), yield* run)
    }))

  it.effect("lets a hook around a stage interrupt it", () =>
    Effect.gen(function*() {
      const { stages, trace } = traced({ execute: Effect.never })
      const limit: Partial<Lifecycle.Hooks<unknown, unknown, unknown>> = {
        around: (stage, effect) => stage === "execute" ? Effect.raceFirst(effect, Effect.interrupt) : effect
      }
      const exit = yield* Effect.exit(Lifecycle.run(stages, Lifecycle.combine([limit]), "cat"))
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(trace, ["prepare", "execute"])
    }))
})
