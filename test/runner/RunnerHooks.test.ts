import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { InferenceError } from "../../src/model/ModelError.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import type { Stage } from "../../src/runner/Lifecycle.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { type HookSet, RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import { Faults, RecordingHooks, TestPipeline, TestRuntime } from "../../src/testing/index.ts"

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, width: 8, height: 8 })
const stages: ReadonlyArray<Stage> = ["prepare", "execute", "finalize"]
const hookNames = ["onPrepare", "onExecute", "onFinalize"] as const
const error = new InferenceError({ file: "unet", reason: "out of memory" })

// Why a run ended, without what the runtime adds to it.
const reasons = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> =>
  Exit.isSuccess(exit) ? [] : exit.cause.reasons.map((reason) => {
    if (Cause.isFailReason(reason)) return { failed: reason.error }
    return Cause.isDieReason(reason) ? { died: reason.defect } : "interrupted"
  })

const named = (name: string, calls: Array<string>): HookSet => {
  const call = (hook: string) => Effect.sync(() => void calls.push(`${name} ${hook}`))
  return {
    onPrepare: () => call("onPrepare"),
    onExecute: () => call("onExecute"),
    onFinalize: () => call("onFinalize"),
    around: (stage, effect) => Effect.andThen(call(`before ${stage}`), Effect.tap(effect, () => call(`after ${stage}`)))
  }
}

// The calls of two such sets around a stage.
const nested = (stage: string) => [
  `1st before ${stage}`,
  `2nd before ${stage}`,
  `2nd after ${stage}`,
  `1st after ${stage}`
]

const under = (hooks: Layer.Layer<RunnerHooks>, ...faults: ReadonlyArray<Faults.Fault>) =>
  processImages(cat, { runId: "r1" }).pipe(
    Effect.provide(TestRuntime.layer({ hooks, pipeline: TestPipeline.layer().pipe(Faults.layer(...faults)) }))
  )

const notice = (where: string) => `Error A hook failed in ${where}; the run goes on without it. Error: bug`

describe("RunnerHooks.layerNoop", () => {
  it.effect("calls nothing and changes nothing", () =>
    Effect.gen(function*() {
      const processed = yield* under(RunnerHooks.layerNoop)
      assert.deepStrictEqual(processed, yield* under(RunnerHooks.layer()))
      assert.deepStrictEqual(processed, yield* under(RunnerHooks.layer(named("observer", []))))
      assert.deepStrictEqual(
        processed,
        yield* processImages(cat, { runId: "r1" }).pipe(
          Effect.provide(TestRuntime.layerRecording({ pipeline: TestPipeline.layer() }))
        )
      )
    }))
})

describe("RunnerHooks.layer", () => {
  it.effect("runs several sets in the order given, the first one's around outermost", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      yield* under(RunnerHooks.layer(named("1st", calls), named("2nd", calls)))
      assert.deepStrictEqual(calls, [
        ...nested("prepare"),
        "1st onPrepare",
        "2nd onPrepare",
        ...nested("execute"),
        "1st onExecute",
        "2nd onExecute",
        ...nested("finalize"),
        "1st onFinalize",
        "2nd onFinalize"
      ])
    }))

  it.effect("lets every hook read the context of its run", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const see = Effect.gen(function*() {
        const { model, state } = yield* RuntimeContext
        const { runId } = yield* state.progress
        seen.push(`${model.name} ${runId}`)
      })
      const hooks = RunnerHooks.layer({
        onPrepare: () => see,
        onExecute: () => see,
        onFinalize: () => see,
        around: (_, effect) => Effect.andThen(see, effect)
      })
      yield* processImages(cat, { runId: "r1" }).pipe(Effect.provide(TestRuntime.layer({ hooks })))
      assert.deepStrictEqual(seen, Array.from({ length: 6 }, () => "test-model r1"))
    }))
})

describe("RunnerHooks.layerEffect", () => {
  class Audit extends Context.Service<Audit, Array<string>>()("test/Audit") {}

  it.effect("makes its sets from what they need, once for all runs", () =>
    Effect.gen(function*() {
      const audit: Array<string> = []
      let made = 0
      const makeAudit = Effect.map(Audit, (calls) => {
        made++
        return named("audit", calls)
      })
      const hooks = RunnerHooks.layerEffect(Effect.all([makeAudit, Effect.succeed<HookSet>({})])).pipe(
        Layer.provide(Layer.succeed(Audit, audit))
      )
      yield* Effect.andThen(processImages(cat), processImages(cat)).pipe(Effect.provide(TestRuntime.layer({ hooks })))
      assert.strictEqual(made, 1)
      assert.strictEqual(audit.filter((call) => call === "audit onFinalize").length, 2)
    }))

  it.effect("fails when a set cannot be made, with its own error", () =>
    Effect.gen(function*() {
      const hooks = RunnerHooks.layerEffect(Effect.fail("no audit" as const))
      const error = yield* processImages(cat).pipe(Effect.provide(TestRuntime.layer({ hooks })), Effect.flip)
      assert.strictEqual(error, "no audit")
    }))
})

describe("a hook's defect", () => {
  it.effect.each(hookNames)("in %s is the run's", (hook) =>
    Effect.gen(function*() {
      const recorder = yield* RecordingHooks.make
      const exit = yield* Effect.exit(under(RunnerHooks.layer({ [hook]: () => Effect.die("bug") }, recorder.hooks)))
      assert.deepStrictEqual(reasons(exit), [{ died: "bug" }])
      const called = (yield* recorder.calls).map((call) => call.hook).filter((name) => name.startsWith("on"))
      assert.deepStrictEqual(called, hookNames.slice(0, hookNames.indexOf(hook)))
    }))

  it.effect.each(stages)("around %s is the run's", (broken) =>
    Effect.gen(function*() {
      const hooks = RunnerHooks.layer({
        around: (stage, effect) => stage === broken ? Effect.andThen(Effect.die("bug"), effect) : effect
      })
      assert.deepStrictEqual(reasons(yield* Effect.exit(under(hooks))), [{ died: "bug" }])
    }))
})

describe("RunnerHooks.isolated", () => {
  // A run's exit, and what was logged meanwhile.
  const observed = Effect.fnUntraced(function*(
    hooks: Layer.Layer<RunnerHooks>,
    ...faults: ReadonlyArray<Faults.Fault>
  ) {
    const logged: Array<string> = []
    const logger = Logger.make<unknown, void>(({ cause, logLevel, message }) => {
      logged.push(`${logLevel} ${String(message)} ${Cause.pretty(cause).split("\n")[0]}`)
    })
    const exit = yield* under(hooks, ...faults).pipe(Effect.exit, Effect.provide(Logger.layer([logger])))
    return { exit, logged }
  })
  const isolated = (set: HookSet, ...faults: ReadonlyArray<Faults.Fault>) =>
    observed(RunnerHooks.layer(RunnerHooks.isolated(set)), ...faults)
  const bug = new Error("bug")

  it.effect.each(hookNames)("logs a defect of %s and goes on", (hook) =>
    Effect.gen(function*() {
      const { exit, logged } = yield* isolated({ [hook]: () => Effect.die(bug) })
      assert.deepStrictEqual(exit, Exit.succeed(yield* under(RunnerHooks.layerNoop)))
      assert.deepStrictEqual(logged, [notice(hook)])
    }))

  it.effect.each(hookNames)("logs an exception that %s throws and goes on", (hook) =>
    Effect.gen(function*() {
      const { exit, logged } = yield* isolated({
        [hook]: () => {
          throw bug
        }
      })
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(logged, [notice(hook)])
    }))

  it.effect.each(stages)(
    "runs %s once and keeps what it gave when the hook around it fails before it",
    (broken) =>
      Effect.gen(function*() {
        const { calls, hooks } = yield* RecordingHooks.make
        const set = RunnerHooks.isolated({
          around: (stage, effect) => stage === broken ? Effect.andThen(Effect.die(bug), effect) : effect
        })
        const { exit, logged } = yield* observed(RunnerHooks.layer(set, hooks))
        assert.deepStrictEqual(exit, Exit.succeed(yield* under(RunnerHooks.layerNoop)))
        assert.deepStrictEqual(logged, [notice(`around ${broken}`)])
        assert.strictEqual((yield* calls).filter((call) => call.hook === `around:${broken}:start`).length, 1)
      })
  )

  it.effect.each(stages)(
    "runs %s once and keeps what it gave when the hook around it fails after it",
    (broken) =>
      Effect.gen(function*() {
        const { calls, hooks } = yield* RecordingHooks.make
        const set = RunnerHooks.isolated({
          around: (stage, effect) => stage === broken ? Effect.flatMap(effect, () => Effect.die(bug)) : effect
        })
        const { exit, logged } = yield* observed(RunnerHooks.layer(set, hooks))
        assert.deepStrictEqual(exit, Exit.succeed(yield* under(RunnerHooks.layerNoop)))
        assert.deepStrictEqual(logged, [notice(`around ${broken}`)])
        assert.strictEqual((yield* calls).filter((call) => call.hook === `around:${broken}:start`).length, 1)
      })
  )

  it.effect.each(stages)(
    "keeps the error of %s, silently, when only the stage failed",
    (broken) =>
      Effect.gen(function*() {
        const { exit, logged } = yield* isolated({ around: (_, effect) => effect }, Faults.fail(broken, error))
        assert.deepStrictEqual(reasons(exit), [{ failed: error }])
        assert.isEmpty(logged)
      })
  )

  it.effect.each(stages)(
    "keeps the error of %s when the hook around it fails on it, and logs the hook's defect only",
    (broken) =>
      Effect.gen(function*() {
        const { exit, logged } = yield* isolated(
          { around: (stage, effect) => stage === broken ? Effect.onError(effect, () => Effect.die(bug)) : effect },
          Faults.fail(broken, error)
        )
        assert.deepStrictEqual(reasons(exit), [{ failed: error }])
        assert.deepStrictEqual(logged, [notice(`around ${broken}`)])
      })
  )

  it.effect.each(stages)("keeps a defect of %s as the run's", (broken) =>
    Effect.gen(function*() {
      const { exit, logged } = yield* isolated({ around: (_, effect) => effect }, Faults.die(broken, bug))
      assert.deepStrictEqual(reasons(exit), [{ died: bug }])
      assert.isEmpty(logged)
    }))

  it.effect("logs an exception that around throws and goes on", () =>
    Effect.gen(function*() {
      const { exit, logged } = yield* isolated({
        around: () => {
          throw bug
        }
      })
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(logged, stages.map((stage) => notice(`around ${stage}`)))
    }))

  it.effect("keeps hooks that work as they are", () =>
    Effect.gen(function*() {
      const [plain, isolated]: [Array<string>, Array<string>] = [[], []]
      yield* under(RunnerHooks.layer(named("x", plain)))
      yield* under(RunnerHooks.layer(RunnerHooks.isolated(named("x", isolated))))
      assert.deepStrictEqual(isolated, plain)
    }))

  it("leaves out the hooks that the set leaves out", () => {
    assert.deepStrictEqual(RunnerHooks.isolated({}), {})
    assert.deepStrictEqual(Object.keys(RunnerHooks.isolated({ onExecute: () => Effect.void })), ["onExecute"])
  })

  it.effect.each(hookNames)("still lets %s be interrupted, which ends the run", (hook) =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const recorder = yield* RecordingHooks.make
      const hanging = RunnerHooks.isolated({
        [hook]: () => Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
      })
      const fiber = yield* Effect.forkChild(under(RunnerHooks.layer(hanging, recorder.hooks)))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      const called = (yield* recorder.calls).map((call) => call.hook).filter((name) => name.startsWith("on"))
      assert.deepStrictEqual(called, hookNames.slice(0, hookNames.indexOf(hook)))
    }))

  it.effect.each(hookNames)("still lets %s interrupt the run", (hook) =>
    Effect.gen(function*() {
      const { exit, logged } = yield* isolated({ [hook]: () => Effect.interrupt })
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.isEmpty(logged)
    }))

  it.effect.each(stages)(
    "still lets a hook interrupt the run before %s, which then never runs",
    (last) =>
      Effect.gen(function*() {
        const { calls, hooks } = yield* RecordingHooks.make
        const set = RunnerHooks.isolated({
          around: (stage, effect) => stage === last ? Effect.andThen(Effect.interrupt, effect) : effect
        })
        const { exit } = yield* observed(RunnerHooks.layer(set, hooks))
        assert.isTrue(Exit.hasInterrupts(exit))
        assert.isUndefined((yield* calls).find((call) => call.hook === `around:${last}:start`))
      })
  )

  it.effect("still lets a hook around a stage interrupt it", () =>
    Effect.gen(function*() {
      const hang = yield* Faults.hang("execute")
      const { exit } = yield* isolated({
        around: (stage, effect) =>
          stage === "execute"
            ? Effect.raceFirst(effect, Effect.andThen(hang.hanging, Effect.interrupt))
            : effect
      }, hang.fault)
      assert.isTrue(Exit.hasInterrupts(exit))
    }))
})
