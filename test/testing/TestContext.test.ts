import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Options } from "../../src/processing/Options.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import * as RunState from "../../src/runner/RunState.ts"
import { CaptureContext, RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import { TestContext, TestModel } from "../../src/testing/index.ts"

const request = { processing: Txt2Img.make({ prompt: "a cat" }), runId: "r1" }
const capture = Effect.flatMap(CaptureContext, ({ capture }) => capture(request))

describe("TestContext", () => {
  it.effect("captures a context of defaults around the test model", () =>
    Effect.gen(function*() {
      const { cmdOpts, device, model, opts, state } = yield* capture
      assert.strictEqual(model.name, "test-model")
      assert.deepStrictEqual(opts, Options.defaults)
      assert.deepStrictEqual(device, { provider: "cpu" })
      assert.deepStrictEqual(cmdOpts, CommandOptions.defaults)
      assert.strictEqual((yield* state.progress).runId, "r1")
    }).pipe(Effect.provide(TestContext.layer())))

  const overrides = Effect.map(RunState.make("mine"), (state) => ({
    model: TestModel.make({ name: "mine" }),
    opts: { samples_save: false },
    device: { provider: "webgpu" },
    state,
    cmdOpts: { limits: Limits.make({ max_steps: 5000 }) }
  } as const))

  it.effect("captures every part that is given instead", () =>
    Effect.gen(function*() {
      const given = yield* overrides
      const context = yield* Effect.provide(capture, TestContext.layer(given))
      assert.deepStrictEqual(context, {
        model: given.model,
        opts: { ...Options.defaults, samples_save: false },
        device: given.device,
        state: given.state,
        cmdOpts: { ...CommandOptions.defaults, ...given.cmdOpts }
      })
      assert.isFrozen(context)
    }))

  it.effect("makes the same context for a single run", () =>
    Effect.gen(function*() {
      const given = yield* overrides
      assert.deepStrictEqual(
        yield* TestContext.make(given),
        yield* Effect.provide(capture, TestContext.layer(given))
      )
      assert.strictEqual(
        yield* Effect.provide(RuntimeContext, TestContext.layerRuntimeContext(given)).pipe(
          Effect.map(({ state }) => state)
        ),
        given.state
      )
    }))

  it.effect("captures from the live settings, which a test may change", () =>
    Effect.gen(function*() {
      const { set } = yield* Options
      yield* set({ randn_source: "NV" })
      assert.strictEqual((yield* capture).opts.randn_source, "NV")
    }).pipe(Effect.provide(TestContext.layer())))
})
