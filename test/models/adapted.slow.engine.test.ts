import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import { join } from "node:path"
import type { AdapterUse } from "../../src/model/Adapter.ts"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import * as CheckpointModel from "../../src/models/CheckpointModel.ts"
import { Networks } from "../../src/models/Networks.ts"
import { unpack } from "./checkpoint/data.ts"
import { expectImage, textsOf } from "./checkpointImages.ts"
import { layerModels } from "./fixtures.ts"
import { opened, pictures } from "./networks/references.ts"

/** The folder where the references are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(
    References,
    unpack("checkpoints/{sd15,sdxl}*.safetensors", "adapters/sd{1,xl}-{kohya,loha,dora}.safetensors", "pictures/*")
  )
}

const load = Effect.fnUntraced(function*(file: string) {
  const path = join(yield* References, file)
  return yield* CheckpointModel.make({ name: file, file: path, source: yield* openSafetensors(path) })
})

const use = Effect.fnUntraced(function*(name: string, unet: number, textEncoder = unet) {
  return { name, file: join(yield* References, `adapters/${name}.safetensors`), unet, textEncoder }
})

const adapted = (model: LoadedModel, uses: ReadonlyArray<AdapterUse>) =>
  model.adapted === undefined ? Effect.die("it takes no adapters") : model.adapted(uses)

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("a checkpoint with adapters", (it) => {
  it.effect.each(pictures.filter(({ adapters }) => adapters.length > 0))(
    "makes the picture that PyTorch makes: $id",
    ({ adapters, base, cases, tolerances }) =>
      Effect.gen(function*() {
        const folder = yield* References
        const uses = adapters.map(({ file, multiplier }) => ({
          name: file,
          file: join(folder, file),
          unet: multiplier,
          textEncoder: multiplier
        }))
        const model = yield* adapted(yield* load(base), uses)
        assert.deepStrictEqual(model.adapterWarnings, [])
        yield* expectImage(model, yield* opened(folder, cases), tolerances)
      }).pipe(Effect.scoped)
  )

  // What a model predicts for the ids of a text.
  const predicted = Effect.fnUntraced(function*(
    model: LoadedModel,
    { rowsAtOnce, seamless = false, tokenMerging }: {
      readonly rowsAtOnce?: number
      readonly seamless?: boolean
      readonly tokenMerging?: number
    } = {}
  ) {
    const ids = Float32Array.from({ length: 154 }, (_, i) => i % 77 === 0 ? 94 : i % 77 < 9 ? i % 77 : 95)
    const texts = yield* textsOf(model, [ids])
    const call = yield* model.denoising({
      batch: 2,
      channels: 4,
      frames: 1,
      height: 8,
      width: 8,
      seamless,
      rowsAtOnce,
      tokenMerging,
      inputs: Record.map(texts[0], ({ dims }) => dims)
    })
    for (const [row, text] of texts.entries()) {
      for (const [name, { values }] of Object.entries(text)) call.inputs[name]?.set(values, row * values.length)
    }
    call.sample.forEach((_, i, all) => all[i] = Math.sin(i))
    yield* call.run(500)
    return Array.from(call.prediction)
  }, Effect.scoped)

  it.effect("leaves nothing behind: each run is as on a model that was loaded for it", () =>
    Effect.gen(function*() {
      const sets: ReadonlyArray<readonly [name: string, uses: ReadonlyArray<readonly [string, number, number?]>]> = [
        ["none", []],
        ["one", [["sd1-kohya", 0.7]]],
        ["weaker", [["sd1-kohya", 0.3, 0]]],
        ["another", [["sd1-dora", 1]]]
      ]
      const withSet = Effect.fnUntraced(function*(model: LoadedModel, name: string) {
        const [, uses = []] = sets.find(([own]) => own === name) ?? []
        if (uses.length === 0) return yield* predicted(model)
        const given = yield* Effect.forEach(uses, ([file, unet, text]) => use(file, unet, text))
        return yield* predicted(yield* adapted(model, given))
      }, Effect.scoped)
      const fresh = new Map<string, ReadonlyArray<number>>()
      for (const [name] of sets) {
        fresh.set(
          name,
          yield* Effect.scoped(Effect.flatMap(load("checkpoints/sd15.safetensors"), (model) => withSet(model, name)))
        )
      }
      assert.strictEqual(new Set([...fresh.values()].map((values) => values.join())).size, sets.length)
      const model = yield* load("checkpoints/sd15.safetensors")
      for (const name of ["one", "none", "weaker", "another", "none", "one"]) {
        assert.deepStrictEqual(yield* withSet(model, name), fresh.get(name), name)
      }
    }).pipe(Effect.scoped))

  it.effect("merges tokens as one without them", () =>
    Effect.gen(function*() {
      const model = yield* load("checkpoints/sd15.safetensors")
      const changed = yield* adapted(model, [yield* use("sd1-kohya", 0.7)])
      const made = yield* Effect.forEach([model, changed], (each) => predicted(each, { tokenMerging: 0.5 }))
      const plain = yield* Effect.forEach([model, changed], (each) => predicted(each))
      assert.strictEqual(new Set([...made, ...plain].map((values) => values.join())).size, 4)
    }).pipe(Effect.scoped))

  it.effect("opens networks once for the same files, and gives back those that were not used of late", () =>
    Effect.gen(function*() {
      const { open, ...others } = yield* Networks
      const counts = { opened: 0, closed: 0 }
      const counting = Networks.of({
        ...others,
        open: (...args) =>
          Effect.tap(open(...args), () => {
            counts.opened++
            return Effect.addFinalizer(() => Effect.sync(() => counts.closed++))
          })
      })
      const model = yield* Effect.provideService(load("checkpoints/sd15.safetensors"), Networks, counting)
      const run = (...uses: ReadonlyArray<AdapterUse>) =>
        Effect.scoped(Effect.flatMap(adapted(model, uses), (model) => predicted(model)))
      const [kohya, loha] = [yield* use("sd1-kohya", 1), yield* use("sd1-loha", 1)]
      yield* run(kohya)
      assert.deepStrictEqual(counts, { opened: 2, closed: 0 })
      yield* run({ ...kohya, unet: 0.5, textEncoder: 2 })
      assert.deepStrictEqual(counts, { opened: 2, closed: 0 })
      // In either order.
      const both = yield* run(kohya, loha)
      assert.deepStrictEqual(yield* run(loha, kohya), both)
      assert.deepStrictEqual(counts, { opened: 4, closed: 0 })
      yield* run(loha)
      assert.deepStrictEqual(counts, { opened: 6, closed: 2 })
    }).pipe(Effect.scoped))

  it.effect("is the model itself at no strength; rows, seams and memory are as without adapters", () =>
    Effect.gen(function*() {
      const model = yield* load("checkpoints/sd15.safetensors")
      const off = yield* adapted(model, [yield* use("sd1-dora", 0), yield* use("sd1-kohya", 0)])
      assert.deepStrictEqual(yield* predicted(off), yield* predicted(model))
      const on = yield* adapted(model, [yield* use("sd1-kohya", 1)])
      const whole = yield* predicted(on)
      const apart = yield* predicted(on, { rowsAtOnce: 1 })
      assert.isBelow(Math.max(...whole.map((value, i) => Math.abs(value - (apart[i] ?? NaN)))), 1e-4)
      assert.notDeepEqual(yield* predicted(on, { seamless: true }), whole)
      const shape = { batch: 2, channels: 4, frames: 1, height: 64, width: 64, inputs: {} }
      const estimate = ({ estimates }: LoadedModel) => estimates?.denoising(shape) ?? Effect.undefined
      const [plain, estimated] = [yield* estimate(model), yield* estimate(on)]
      assert.isAbove(plain?.needed ?? 0, 0)
      assert.isAtLeast(estimated?.needed ?? 0, plain?.needed ?? NaN)
      assert.isBelow(estimated?.needed ?? NaN, 1.1 * (plain?.needed ?? 0))
    }).pipe(Effect.scoped))

  it.effect("names what does not fit it, and adapts the rest", () =>
    Effect.gen(function*() {
      const model = yield* load("checkpoints/sdxl.safetensors")
      const { adapterWarnings } = yield* adapted(model, [yield* use("sd1-kohya", 1)])
      assert.isAbove(adapterWarnings.length, 0)
      for (const warning of adapterWarnings) assert.match(warning, /^The adapter "sd1-kohya" /)
    }).pipe(Effect.scoped))
})
