/**
 * A process whose memory is measured: it uses models and prints a JSON array of numbers, in MiB.
 * `test/slow/modelMemory.measured.test.ts` starts it, with `--expose-gc`, so that nothing but the models is in its
 * memory.
 *
 * `switch DIR`: the resident size after each of 32 uses of the models in DIR, one after the other, one kept at a time.
 * `checkpoints DIR`: the memory of its own (RssAnon) after each of 6 uses of the checkpoints in DIR.
 * `peak`: the peak size after denoising calls of 512 x 512 pixels, then after decoding such a picture; `peak-lowvram`
 * the same with the command option `lowvram`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import type { LatentShape } from "../../src/core/LatentShape.ts"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { layerModels } from "../models/fixtures.ts"

const [mode, modelsDir] = process.argv.slice(2)

const denoise = Effect.fnUntraced(function*(model: LoadedModel, size: LatentShape, batch: number) {
  const [encoder] = model.textEncoders
  const { end, start } = yield* encoder.vocabulary
  const ids = [start, ...Array.from({ length: 76 }, () => end)]
  const { values } = yield* encoder.encode(ids, { clipSkip: 1 })
  const call = yield* model.denoising({ ...size, batch, inputs: { encoder_hidden_states: [77, encoder.width] } })
  for (let i = 0; i < batch; i++) call.inputs["encoder_hidden_states"]?.set(values, i * values.length)
  call.sample.forEach((_, i) => {
    call.sample[i] = Math.sin(i)
  })
  yield* call.run(500)
  yield* call.run(400)
  return call.prediction.slice(0, 4 * size.height * size.width)
}, Effect.scoped)

const collected = Effect.suspend(() => {
  globalThis.gc?.()
  // Finalizers of native objects run between two turns of the loop.
  return Effect.sleep(50)
})

/** Memory of the process that is no file's, which a mapped checkpoint is. */
const own = () => Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

const switching = (uses: number, side: number, measure: () => number) =>
  Effect.gen(function*() {
    const { list, load } = yield* ModelProvider
    const names = (yield* list).filter(({ embedded }) => !embedded).map(({ name }) => name)
    const size = { channels: 4, frames: 1, height: side, width: side }
    const sizes: Array<number> = []
    for (let i = 0; i < uses; i++) {
      yield* Effect.scoped(Effect.gen(function*() {
        const model = yield* load(names[i % names.length] ?? "")
        yield* model.decode(yield* denoise(model, size, 2), size)
      }))
      yield* collected
      sizes.push(measure())
    }
    return sizes
  })

const peak = Effect.gen(function*() {
  const model = yield* (yield* ModelProvider).load("")
  const size = { channels: 4, frames: 1, height: 64, width: 64 }
  const latent = yield* denoise(model, size, 2)
  const before = process.resourceUsage().maxRSS / 1024
  yield* model.decode(latent, size)
  return [before, process.resourceUsage().maxRSS / 1024]
}).pipe(Effect.scoped)

const rss = () => process.memoryUsage.rss() / 2 ** 20
const measured = mode === "switch" ? switching(32, 16, rss) : mode === "checkpoints" ? switching(6, 8, own) : peak

const program = measured.pipe(
  Effect.flatMap((numbers) => Effect.sync(() => process.stdout.write(JSON.stringify(numbers)))),
  Effect.provide(layerModels({ modelsDir, maxModels: 1, threads: 2, lowvram: mode === "peak-lowvram" }))
)

NodeRuntime.runMain(program)
