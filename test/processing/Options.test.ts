import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { InvalidOptions } from "../../src/processing/InvalidOptions.ts"
import { Options } from "../../src/processing/Options.ts"
import { OptionsPatch } from "../../src/processing/OptionsSnapshot.ts"

describe("Options", () => {
  it.effect("begin with the defaults, and what the process was started with over them", () =>
    Effect.gen(function*() {
      const { snapshot } = yield* Options
      assert.deepStrictEqual(yield* snapshot, { ...Options.defaults, samples_save: false })
    }).pipe(Effect.provide(Options.layer({ samples_save: false }))))

  it.effect("take a change of some settings and leave the others", () =>
    Effect.gen(function*() {
      const { set, snapshot } = yield* Options
      const after = yield* set({ randn_source: "NV", eta_noise_seed_delta: 31337 })
      assert.deepStrictEqual(after, { ...Options.defaults, randn_source: "NV", eta_noise_seed_delta: 31337 })
      assert.strictEqual(yield* snapshot, after)
    }).pipe(Effect.provide(Options.layer())))

  it.effect("give frozen snapshots, which later changes do not reach", () =>
    Effect.gen(function*() {
      const { set, snapshot } = yield* Options
      const before = yield* snapshot
      const after = yield* set({ samples_save: false })
      assert.isTrue(before.samples_save)
      for (const options of [before, after, Options.defaults]) {
        assert.isFrozen(options)
        assert.throws(() => Reflect.set(options, "samples_save", true) || assert.fail("it was not set"))
      }
    }).pipe(Effect.provide(Options.layer())))

  it.effect("name every problem of a change, and then change nothing", () =>
    Effect.gen(function*() {
      const { set, snapshot } = yield* Options
      const before = yield* snapshot
      const error = yield* Effect.flip(set({
        add_version_to_infotext: false,
        samples_save: "yes",
        randn_source: "TPU",
        outdir_txt2img_samples: "",
        eta_noise_seed_delta: 0.5
      }))
      assert.instanceOf(error, InvalidOptions)
      assert.sameMembers(error.problems.map(({ path }) => path), [
        "samples_save",
        "randn_source",
        "outdir_txt2img_samples",
        "eta_noise_seed_delta"
      ])
      assert.strictEqual(yield* snapshot, before)
    }).pipe(Effect.provide(Options.layer())))

  it.effect("refuse a setting that does not exist, and tell the one that was meant", () =>
    Effect.gen(function*() {
      const { set } = yield* Options
      const error = yield* Effect.flip(set({ sample_save: false, quantum: 1 }))
      assert.deepStrictEqual(error.problems, [
        { path: "sample_save", message: `no setting has this name; did you mean "samples_save"?` },
        { path: "quantum", message: "no setting has this name" }
      ])
    }).pipe(Effect.provide(Options.layer())))

  it.effect.each([null, undefined, 5, "samples_save", [], [{}], () => ({}), JSON.parse(`{ "__proto__": {} }`)])(
    "refuse %j",
    (patch) =>
      Effect.gen(function*() {
        const { set, snapshot } = yield* Options
        assert.instanceOf(yield* Effect.flip(set(patch)), InvalidOptions)
        assert.deepStrictEqual(yield* snapshot, Options.defaults)
      }).pipe(Effect.provide(Options.layer()))
  )

  it.effect.prop("take every patch there can be", [OptionsPatch], ([patch]) =>
    Effect.gen(function*() {
      const { set } = yield* Options
      assert.deepStrictEqual(yield* set(patch), { ...Options.defaults, ...patch })
    }).pipe(Effect.provide(Options.layer())))

  it.effect("lose no change when many are made at once", () =>
    Effect.gen(function*() {
      const { set, snapshot } = yield* Options
      yield* Effect.all(
        [
          set({ samples_save: false }),
          set({ randn_source: "NV" }),
          set({ eta_noise_seed_delta: 1 }),
          set({ sd_model_checkpoint: "x" })
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(yield* snapshot, {
        ...Options.defaults,
        samples_save: false,
        randn_source: "NV",
        eta_noise_seed_delta: 1,
        sd_model_checkpoint: "x"
      })
    }).pipe(Effect.provide(Options.layer())))
})
