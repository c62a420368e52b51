import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Options } from "../../src/processing/Options.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import * as NetworkOrder from "../../src/runs/NetworkOrder.ts"

/** Does something that may wait, and says whether it does. */
const trying = Effect.fnUntraced(function*(effect: Effect.Effect<void>) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  return () => fiber.pollUnsafe() === undefined ? "waits" : "goes on"
})

const begun = Effect.fnUntraced(function*(place: NetworkOrder.Place, files?: string) {
  yield* place.start(files)
  yield* place.begin
  return place
})

describe("NetworkOrder", () => {
  it.effect("takes the next run when one decodes, and gives it the networks when that is done", () =>
    Effect.gen(function*() {
      const order = NetworkOrder.make(1)
      let changes = 0
      const changed = Effect.sync(() => {
        changes++
      })
      const first = yield* begun(order.add(changed), "model")
      assert.isFalse(order.hasRoom())
      yield* first.ending
      assert.deepStrictEqual([changes, order.hasRoom(), order.free()], [1, true, 0])
      const second = order.add(changed)
      assert.isFalse(order.hasRoom())
      yield* second.start("model")
      const calling = yield* trying(second.begin)
      assert.strictEqual(calling(), "waits")
      assert.isFalse(first.isFinishing())
      yield* first.end
      yield* Effect.yieldNow
      assert.strictEqual(calling(), "goes on")
      assert.isTrue(first.isFinishing())
      assert.isFalse(second.isFinishing())
      // A third one comes when the first one has ended, at the earliest.
      yield* second.ending
      assert.isFalse(order.hasRoom())
      first.remove()
      assert.isTrue(order.hasRoom())
      second.remove()
      assert.deepStrictEqual([order.free(), order.hasRoom()], [1, true])
    }))

  it.effect("has a run with other files wait until there is room for its model", () =>
    Effect.gen(function*() {
      const order = NetworkOrder.make(1)
      for (const [earlier, later] of [["a", "b"], [undefined, undefined], ["a", undefined], [undefined, "a"]]) {
        const first = yield* begun(order.add(Effect.void), earlier)
        yield* first.ending
        const second = order.add(Effect.void)
        const starting = yield* trying(second.start(later))
        yield* first.end
        yield* Effect.yieldNow
        assert.strictEqual(starting(), "waits")
        first.remove()
        yield* Effect.yieldNow
        assert.strictEqual(starting(), "goes on")
        second.remove()
      }
    }))

  it.effect("lets as many call networks at once as there are slots, in their order", () =>
    Effect.gen(function*() {
      const order = NetworkOrder.make(2)
      const [first, second] = [
        yield* begun(order.add(Effect.void), "model"),
        yield* begun(order.add(Effect.void), "model")
      ]
      yield* first.ending
      yield* second.ending
      const places = [order.add(Effect.void), order.add(Effect.void)]
      assert.isFalse(order.hasRoom())
      for (const place of places) yield* place.start("model")
      // The later one is ready first.
      const [third, fourth] = places
      if (third === undefined || fourth === undefined) return assert.fail()
      const later = yield* trying(fourth.begin)
      const earlier = yield* trying(third.begin)
      yield* second.end
      yield* Effect.yieldNow
      assert.deepStrictEqual([earlier(), later()], ["goes on", "waits"])
      yield* first.end
      yield* Effect.yieldNow
      assert.strictEqual(later(), "goes on")
    }))

  it.effect("counts other work as a run that calls networks", () =>
    Effect.gen(function*() {
      const order = NetworkOrder.make(1)
      order.occupy()
      assert.deepStrictEqual([order.free(), order.hasRoom(), order.occupied()], [0, false, 1])
      const run = order.add(Effect.void)
      const starting = yield* Effect.forkChild(begun(run, "model"), { startImmediately: true })
      assert.isUndefined(starting.pollUnsafe())
      order.leave()
      yield* Fiber.join(starting)
      // A run whose pipeline says nothing, and one that says it late, hold their slots until they have ended.
      yield* run.end
      yield* run.ending
      assert.isTrue(run.isFinishing())
      run.remove()
      const silent = order.add(Effect.void)
      yield* silent.start("model")
      yield* silent.ending
      yield* silent.end
      assert.isFalse(order.hasRoom())
    }))

  it("knows runs that open one model, and which", () => {
    const files = (processing: Parameters<typeof NetworkOrder.filesOf>[0]) =>
      NetworkOrder.filesOf(processing, Options.patched(Options.defaults, processing.override_settings))
    const plain = files(Txt2Img.make({ prompt: "a cat" }))
    assert.isString(plain)
    assert.strictEqual(files(Img2Img.make({ prompt: "a dog", init_images: [new Uint8Array(4)] })), plain)
    assert.strictEqual(files(Txt2Img.make({ enable_hr: true, hr_prompt: "a fox", hr_scale: 2 })), plain)
    for (
      const override_settings of [
        { sd_model_checkpoint: "other" },
        { sd_vae: "other" },
        { sd_text_encoders: "other" },
        { unet_precision: "int8" as const }
      ]
    ) {
      const other = files(Txt2Img.make({ override_settings }))
      assert.isString(other)
      assert.notStrictEqual(other, plain)
    }
    for (
      const more of [
        { prompt: "a cat <lora:fluffy:1>" },
        { negative_prompt: "__styles__" },
        { styles: ["photo"] },
        { x_axis: "Steps: 1, 2" },
        { refiner_checkpoint: "other" },
        { enable_hr: true, hr_checkpoint_name: "other" },
        { enable_hr: true, hr_prompt: "<lora:fluffy:1>" }
      ]
    ) assert.isUndefined(files(Txt2Img.make(more)))
  })
})
