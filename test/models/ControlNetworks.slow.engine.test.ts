import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import { join } from "node:path"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import * as CheckpointModel from "../../src/models/CheckpointModel.ts"
import { unpack } from "./checkpoint/data.ts"
import { layerModels } from "./fixtures.ts"
import { entries, numbersOf, opened, shapeOf } from "./networks/references.ts"
import { largestDifference } from "./numbers.ts"

/** The folder where the references are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(References, unpack("{checkpoints,controlnets}/*.safetensors"))
}

const load = Effect.fnUntraced(function*(file: string) {
  const path = join(yield* References, file)
  return yield* CheckpointModel.make({ name: file, file: path, source: yield* openSafetensors(path) })
})

const controlNets = entries.filter(({ kind }) => kind === "controlnet")

const controlled = Effect.fnUntraced(function*(model: LoadedModel, files: ReadonlyArray<string>) {
  const folder = yield* References
  assert.isDefined(model.controlled)
  return yield* model.controlled(files.map((file) => join(folder, file)))
})

// Three rows of one case, the residuals of each times its own weight.
const rows = Effect.fnUntraced(function*(model: LoadedModel, entry: (typeof controlNets)[number], options: {
  readonly scales: ReadonlyArray<ReadonlyArray<number>>
  readonly rowsAtOnce?: number
}) {
  const cases = yield* opened(yield* References, entry.cases)
  const names: Readonly<Record<string, string>> = {
    encoder_hidden_states: "in/context",
    ...(cases.tensors.has("in/y") && { y: "in/y" })
  }
  const [, channels = 4, height = 1, width = 1] = shapeOf(cases, "in/x")
  const call = yield* model.denoising({
    channels,
    frames: 1,
    height,
    width,
    batch: 3,
    inputs: Record.map(names, (name) => shapeOf(cases, name).slice(1)),
    rowsAtOnce: options.rowsAtOnce
  })
  const fill = (to: Float32Array | undefined, name: string) => {
    const values = numbersOf(cases.tensors.get(name))
    for (let row = 0; row < 3; row++) to?.set(values, row * values.length)
  }
  fill(call.sample, "in/x")
  for (const [name, from] of Object.entries(names)) fill(call.inputs[name], from)
  for (const [i, { hint, scales }] of (call.controls ?? []).entries()) {
    hint.set(numbersOf(cases.tensors.get("in/hint")).map((value) => value / 255))
    const each = scales.length / 3
    for (const [row, scale] of (options.scales[i] ?? []).entries()) scales.fill(scale, row * each, (row + 1) * each)
  }
  yield* call.run(numbersOf(cases.tensors.get("in/t"))[0] ?? 0)
  const length = call.prediction.length / 3
  return { call, rows: [0, 1, 2].map((row) => call.prediction.slice(row * length, (row + 1) * length)) }
})

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("a checkpoint with ControlNets", (it) => {
  it.effect.each(controlNets)(
    "predicts what PyTorch predicts with $id, row by row at its own weight",
    (entry) =>
      Effect.gen(function*() {
        const { base = "", file = "", tolerances = {} } = entry
        const cases = yield* opened(yield* References, entry.cases)
        const model = yield* controlled(yield* load(base), [file])
        for (const rowsAtOnce of [3, 2]) {
          const { rows: found } = yield* rows(model, entry, { scales: [[0, 0.5, 1]], rowsAtOnce })
          for (const [row, weight] of [0, 0.5, 1].entries()) {
            const name = `unet@${weight}`
            const expected = numbersOf(cases.tensors.get(`out/${name}`))
            assert.isAtMost(
              largestDifference(found[row] ?? new Float32Array(), expected),
              tolerances[name]?.atol ?? 0,
              name
            )
          }
        }
      }).pipe(Effect.scoped)
  )

  it.effect("adds the residuals of several", () =>
    Effect.gen(function*() {
      const [entry] = controlNets
      assert.isDefined(entry)
      const { base = "", file = "", tolerances = {} } = entry
      const cases = yield* opened(yield* References, entry.cases)
      const model = yield* controlled(yield* load(base), [file, file, file])
      const { rows: found } = yield* rows(model, entry, { scales: [[0.25, 0, 0.5], [0, 0, 0], [0.25, 0.5, 0.5]] })
      for (const [row, weight] of [0.5, 0.5, 1].entries()) {
        const name = `unet@${weight}`
        const expected = numbersOf(cases.tensors.get(`out/${name}`))
        assert.isAtMost(
          largestDifference(found[row] ?? new Float32Array(), expected),
          tolerances[name]?.atol ?? 0,
          name
        )
      }
    }).pipe(Effect.scoped))

  it.effect("with scales of 0 computes what the model alone does, to the bit, before and after others", () =>
    Effect.gen(function*() {
      const [entry] = controlNets
      assert.isDefined(entry)
      const { base = "", file = "" } = entry
      const alone = yield* load(base)
      const model = yield* controlled(alone, [file])
      const { rows: [expected] } = yield* rows(alone, entry, { scales: [] })
      const { call, rows: [found] } = yield* rows(model, entry, { scales: [[0, 0, 0]] })
      assert.deepStrictEqual(found, expected)
      call.controls?.[0]?.scales.fill(1)
      yield* call.run(500)
      const other = call.prediction.slice()
      call.controls?.[0]?.scales.fill(0)
      const t = numbersOf((yield* opened(yield* References, entry.cases)).tensors.get("in/t"))[0] ?? 0
      yield* call.run(t)
      assert.deepStrictEqual(call.prediction.slice(0, found?.length), expected)
      assert.notDeepEqual(other.slice(0, found?.length), expected)
    }).pipe(Effect.scoped))

  it.effect("refuses what does not fit, with the file and both families", () =>
    Effect.gen(function*() {
      const refusal = Effect.fnUntraced(function*(base: string, file: string) {
        const error = yield* Effect.flip(controlled(yield* load(base), [file]))
        return error.message
      })
      const sdxl = yield* refusal("checkpoints/sd15.safetensors", "controlnets/sdxl-control-diffusers.safetensors")
      assert.match(sdxl, /sdxl-control-diffusers.* it is a ControlNet of Stable Diffusion XL, and .*sd15/)
      const other = yield* refusal("checkpoints/sd15.safetensors", "controlnets/sd1-control-diffusers.safetensors")
      assert.match(other, /its 5 residuals do not fit/)
      const none = yield* refusal("checkpoints/sd15.safetensors", "checkpoints/sdxl.safetensors")
      assert.match(none, /it is no ControlNet/)
    }).pipe(Effect.scoped))
})
