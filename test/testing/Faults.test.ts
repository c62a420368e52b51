import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { SaveError } from "../../src/images/ImageError.ts"
import { InferenceError } from "../../src/model/ModelError.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import type { Stage } from "../../src/runner/Lifecycle.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Faults, TestPipeline, TestRuntime } from "../../src/testing/index.ts"

const cat = Txt2Img.make({ prompt: "a cat", width: 8, height: 8 })
const stages: ReadonlyArray<Stage> = ["prepare", "execute", "finalize"]
const error = new InferenceError({ file: "unet", reason: "out of memory" })

/** A run with faults, and the stages whose work was done. */
const run = (...faults: ReadonlyArray<Faults.Fault>) => {
  const done: Array<Stage> = []
  const mark = (stage: Stage) => Effect.tap(Effect.sync(() => done.push(stage)))
  const pipeline = TestPipeline.layer({
    prepare: (request) => mark("prepare")(TestPipeline.prepare(request)),
    execute: (state) => mark("execute")(TestPipeline.execute(state)),
    finalize: (state, executed) => mark("finalize")(TestPipeline.finalize(state, executed))
  })
  const effect = processImages(cat).pipe(
    Effect.provide(TestRuntime.layer({ pipeline: pipeline.pipe(Faults.layer(...faults)) }))
  )
  return { done, effect }
}

describe("Faults", () => {
  it.effect.each(stages)("fail %s in place of its work", (stage) =>
    Effect.gen(function*() {
      const { done, effect } = run(Faults.fail(stage, error))
      assert.strictEqual(yield* Effect.flip(effect), error)
      assert.deepStrictEqual(done, stages.slice(0, stages.indexOf(stage)))
    }))

  it.effect.each(stages)("fail %s when its work is done", (stage) =>
    Effect.gen(function*() {
      const { done, effect } = run(Faults.fail(stage, error, { when: "after" }))
      assert.strictEqual(yield* Effect.flip(effect), error)
      assert.deepStrictEqual(done, stages.slice(0, stages.indexOf(stage) + 1))
    }))

  it.effect.each(stages)("let %s die", (stage) =>
    Effect.gen(function*() {
      const { done, effect } = run(Faults.die(stage, "bug"))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(effect)))
      assert.deepStrictEqual(done, stages.slice(0, stages.indexOf(stage)))
    }))

  it.effect.each(stages)("let %s hang until it is released", (stage) =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* Faults.hang(stage)
      const { done, effect } = run(fault)
      const fiber = yield* Effect.forkChild(effect)
      yield* hanging
      assert.deepStrictEqual(done, stages.slice(0, stages.indexOf(stage)))
      yield* release
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(done, [...stages])
    }))

  it.effect("delay a stage", () =>
    Effect.gen(function*() {
      const { done, effect } = run(Faults.delay("execute", "10 seconds"))
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(done, ["prepare"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(done, [...stages])
    }))

  it.effect("strike in the order given", () =>
    Effect.gen(function*() {
      const later = new SaveError({ path: "/full", reason: "ENOSPC" })
      const { effect } = run(Faults.fail("execute", error), Faults.fail("execute", later))
      assert.strictEqual(yield* Effect.flip(effect), error)
    }))

  it.effect("none, when there are none", () =>
    Effect.gen(function*() {
      const { done, effect } = run()
      yield* effect
      assert.deepStrictEqual(done, [...stages])
    }))
})
