import { assert, describe, it } from "@effect/vitest"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as TestClock from "effect/testing/TestClock"
import * as Progress from "../../src/instrumentation/Progress.ts"
import { RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import * as TestContext from "../../src/testing/TestContext.ts"

/** Progress around an `execute` of the test's own, and what was written meanwhile. */
const watch = Effect.fnUntraced(function*<A, E>(
  options: Progress.Options & { readonly terminal: boolean; readonly color?: boolean },
  execute: Effect.Effect<A, E, RuntimeContext>
) {
  const written: Array<string> = []
  const stdio = Stdio.layerTest({
    stderr: () => Sink.forEach((chunk) => Effect.sync(() => written.push(String(chunk)))),
    stderrIsTerminal: Effect.succeed(options.terminal)
  })
  const capabilities = options.color === undefined ? Layer.empty : Layer.succeed(
    TerminalCapabilities.TerminalCapabilities,
    { canAnimate: options.terminal, canColor: options.color, canPrompt: false }
  )
  const { around } = yield* Effect.provide(Progress.make(options), Layer.mergeAll(stdio, capabilities))
  assert(around !== undefined)
  const exit = yield* around("execute", execute).pipe(
    Effect.provide(TestContext.layerRuntimeContext()),
    Effect.exit,
    Effect.forkChild
  )
  // Half a second at a time, so that each state is seen.
  for (let i = 0; i < 400 && exit.pollUnsafe() === undefined; i++) yield* TestClock.adjust("500 millis")
  return { exit: yield* Fiber.join(exit), written }
})

/** A run of `batches` of `steps`, each step a second long, after two seconds of loading. */
const run = Effect.fnUntraced(function*(batches: number, steps: number) {
  const { state } = yield* RuntimeContext
  yield* state.update({ activity: "loading", passCount: batches, samplingSteps: steps })
  yield* Effect.sleep("2 seconds")
  for (let passesDone = 0; passesDone < batches; passesDone++) {
    yield* state.update({ activity: "sampling", passesDone, samplingStep: 0 })
    for (let samplingStep = 1; samplingStep <= steps; samplingStep++) {
      yield* Effect.sleep("1 second")
      yield* state.update({ samplingStep })
    }
    yield* state.update({ passesDone: passesDone + 1, samplingStep: 0 })
  }
  return "done"
})

describe("Progress", () => {
  it.effect("draws one line over itself on a terminal, and ends it", () =>
    Effect.gen(function*() {
      const { exit, written } = yield* watch({ terminal: true, color: false }, run(2, 4))
      assert.deepStrictEqual(yield* exit, "done")
      assert(written.every((text) => text.startsWith("\r") && text.includes("\u001B[K")))
      assert.deepStrictEqual(written.filter((text) => text.includes("\n")), written.slice(-1))
      assert.include(written[0] ?? "", "0%")
      assert(written.some((text) => text.includes("loading")))
      assert(written.some((text) => text.includes("25%  step 2/4  batch 1/2  1.0 it/s  0:06 left")), written.join("\n"))
      assert.include(written.at(-1) ?? "", "100%  8 steps in 8.0 s  1.0 it/s")
      assert.include(written.at(-1) ?? "", "━".repeat(30))
    }))

  it.effect("never draws wider than the terminal", () =>
    Effect.gen(function*() {
      for (const columns of [10, 24, 50]) {
        const { written } = yield* watch({ terminal: true, color: false, columns: Effect.succeed(columns) }, run(2, 2))
        for (const text of written) {
          assert.isBelow(text.replace("\r", "").replace("\u001B[K", "").trimEnd().length, columns)
        }
      }
    }))

  it.effect("colours the bar only where colours are wanted", () =>
    Effect.gen(function*() {
      const plain = yield* watch({ terminal: true, color: false }, run(1, 2))
      const coloured = yield* watch({ terminal: true, color: true }, run(1, 2))
      assert.notInclude(plain.written.join(""), "\u001B[36m")
      assert.include(coloured.written.join(""), "\u001B[36m")
    }))

  it.effect("writes plain lines elsewhere, few of them", () =>
    Effect.gen(function*() {
      const { written } = yield* watch({ terminal: false }, run(2, 40))
      assert(written.every((text) => /^Progress: [ -~]+\n$/.test(text)), written.join(""))
      assert.isAtLeast(written.length, 8)
      assert.isAtMost(written.length, 14)
      assert.strictEqual(written.at(-1), "Progress: 100%, 80 steps in 80.0 s, 1.0 it/s\n")
    }))

  it.effect("writes the last state of a run that failed or was stopped", () =>
    Effect.gen(function*() {
      const failing = Effect.gen(function*() {
        const { state } = yield* RuntimeContext
        yield* Effect.sleep("1 second")
        yield* state.update({ activity: "sampling", passCount: 1, samplingSteps: 10 })
        yield* Effect.sleep("1 second")
        yield* state.update({ samplingStep: 3 })
        yield* state.interrupt
        return yield* Effect.fail("out of memory")
      })
      const { exit, written } = yield* watch({ terminal: false }, failing)
      assert.strictEqual(yield* Effect.flip(exit), "out of memory")
      assert.deepStrictEqual(written, ["Progress: 30%, step 3/10, 3.0 it/s, interrupted\n"])
    }))

  it.effect("does not wait for what it writes to", () =>
    Effect.gen(function*() {
      const stdio = Stdio.layerTest({
        stderr: () => Sink.forEach(() => Effect.sleep("1 hour")),
        stderrIsTerminal: Effect.succeed(true)
      })
      const { around } = yield* Effect.provide(Progress.make(), stdio)
      assert(around !== undefined)
      let steps = 0
      const fiber = yield* around(
        "execute",
        Effect.gen(function*() {
          const { state } = yield* RuntimeContext
          for (; steps < 100; steps++) yield* Effect.andThen(state.update({ samplingStep: steps }), Effect.sleep(10))
        })
      ).pipe(Effect.provide(TestContext.layerRuntimeContext()), Effect.forkChild)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(steps, 100)
      yield* TestClock.adjust("2 hours")
      yield* Fiber.join(fiber)
    }))

  it.effect("leaves the other stages alone", () =>
    Effect.gen(function*() {
      const { around } = yield* Effect.provide(Progress.make(), Stdio.layerTest({}))
      const stage = Effect.succeed(1)
      assert.strictEqual(around?.("prepare", stage), stage)
      assert.strictEqual(around?.("finalize", stage), stage)
    }))
})
