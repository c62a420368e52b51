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

  describe("of runs whose calls are made as one", () => {
    const [company, other] = [{ form: "128", most: 2 }, { form: "64", most: 2 }]
    const started = Effect.fnUntraced(
      function*(order: NetworkOrder.NetworkOrder, own?: NetworkOrder.Company, changed = Effect.void) {
        const place = order.add(changed)
        yield* place.start("model", own)
        return place
      }
    )

    it.effect("gives them the networks together, as many as each allows", () =>
      Effect.gen(function*() {
        const order = NetworkOrder.make(1)
        let changes = 0
        const first = yield* started(
          order,
          { ...company, most: 3 },
          Effect.sync(() => {
            changes++
          })
        )
        assert.deepStrictEqual([changes, order.hasRoom(), order.free()], [0, false, 0])
        yield* first.begin
        assert.deepStrictEqual([changes, order.hasRoom(), order.free()], [1, true, 0])
        const second = yield* started(order, company)
        yield* second.begin
        // The second one allows no third.
        assert.deepStrictEqual([order.hasRoom(), order.free()], [false, 0])
        yield* first.ending
        assert.deepStrictEqual([changes, order.hasRoom()], [2, true])
        const third = yield* started(order, company)
        yield* third.begin
        yield* first.end
        assert.isFalse(order.hasRoom())
        for (const place of [first, second, third]) place.remove()
        assert.deepStrictEqual([order.free(), order.hasRoom()], [1, true])
      }))

    it.effect("lets none go before a run that waits", () =>
      Effect.gen(function*() {
        const order = NetworkOrder.make(1)
        const first = yield* started(order, company)
        yield* first.begin
        const waiting = yield* started(order, other)
        // None is taken for company while it waits.
        assert.isFalse(order.hasRoom())
        const later = yield* started(order, company)
        const [calling, joining] = [yield* trying(waiting.begin), yield* trying(later.begin)]
        assert.deepStrictEqual([calling(), joining()], ["waits", "waits"])
        yield* first.end
        yield* Effect.yieldNow
        assert.deepStrictEqual([calling(), joining()], ["goes on", "waits"])
        yield* waiting.end
        yield* Effect.yieldNow
        assert.strictEqual(joining(), "goes on")
      }))

    it.effect("keeps a place for one that is prepared, and gives each slot its own", () =>
      Effect.gen(function*() {
        const order = NetworkOrder.make(2)
        const first = yield* started(order, company)
        yield* first.begin
        const [second, third] = [yield* started(order, company), yield* started(order, company)]
        // The third one is ready before the second one, whose place it may not take.
        yield* third.begin
        assert.strictEqual(order.free(), 0)
        yield* second.begin
        const alone = yield* started(order)
        const calling = yield* trying(alone.begin)
        assert.strictEqual(calling(), "waits")
        for (const place of [first, second]) yield* place.end
        yield* Effect.yieldNow
        assert.strictEqual(calling(), "goes on")
      }))

    it("are of one model and size, and keep no deep layers", () => {
      const of = (processing: Parameters<typeof NetworkOrder.companyOf>[0]) =>
        NetworkOrder.companyOf(processing, Options.patched(Options.defaults, processing.override_settings))
      const sharing = { override_settings: { runs_per_call: 4 } }
      const plain = of(Txt2Img.make({ prompt: "a cat", ...sharing }))
      assert.strictEqual(plain?.most, 4)
      assert.deepStrictEqual(of(Txt2Img.make({ prompt: "a dog", steps: 50, sampler_name: "Heun", ...sharing })), plain)
      assert.notDeepEqual(of(Txt2Img.make({ width: 256, ...sharing })), plain)
      assert.notDeepEqual(of(Txt2Img.make({ tiling: true, ...sharing })), plain)
      for (
        const none of [
          Txt2Img.make({}),
          Txt2Img.make({ override_settings: { ...sharing.override_settings, deepcache_interval: 2 } }),
          Txt2Img.make({ prompt: "<lora:fluffy:1>", ...sharing })
        ]
      ) assert.isUndefined(of(none))
    })
  })

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
