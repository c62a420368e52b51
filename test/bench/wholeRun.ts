/**
 * What everything around the networks costs: a whole 20-step run, beside the bare sum of the same onnxruntime calls on
 * inputs of the same shapes.
 */
import * as ManagedRuntime from "effect/ManagedRuntime"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { InferenceSession, Tensor } from "onnxruntime-node"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { median } from "./median.ts"

const folder = fileURLToPath(new URL("../../models/shapes-128/", import.meta.url))
const steps = 20
const rounds = 15

const float = (dims: ReadonlyArray<number>) =>
  new Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)).map((_, i) => Math.sin(i * 0.37)), dims)

// One prompt that was not seen before, 20 guided steps, one decoding: what a run asks of the networks.
const openBare = async () => {
  const open = (part: string) =>
    InferenceSession.create(join(folder, part, "model.onnx"), { executionProviders: ["cpu"], interOpNumThreads: 1 })
  const [textEncoder, unet, vaeDecoder] = await Promise.all([open("text_encoder"), open("unet"), open("vae_decoder")])
  const ids = { input_ids: new Tensor("int64", new BigInt64Array(77).fill(815n), [1, 77]) }
  const states = { last_hidden_state: float([1, 77, 128]) }
  const noisy = {
    sample: float([2, 4, 16, 16]),
    timestep: new Tensor("int64", BigInt64Array.of(500n), [1]),
    encoder_hidden_states: float([2, 77, 128])
  }
  const prediction = { out_sample: float([2, 4, 16, 16]) }
  const latent = { latent_sample: float([1, 4, 16, 16]) }
  const picture = { sample: float([1, 3, 128, 128]) }
  return async () => {
    await textEncoder.run(ids, states)
    for (let step = 0; step < steps; step++) await unet.run(noisy, prediction)
    await vaeDecoder.run(latent, picture)
  }
}

/** Medians in milliseconds, and of the ratios of neighbours; both sides in turn, in this process. */
export const wholeRun = async () => {
  const outdir = mkdtempSync(join(tmpdir(), "serena-bench-"))
  const runtime = ManagedRuntime.make(Serena.layer({ options: { outdir_txt2img_samples: outdir } }))
  try {
    const bare = await openBare()
    const run = (round: number, samples_save: boolean) =>
      runtime.runPromise(
        processImages(
          Txt2Img.make({ prompt: `a red circle ${round}`, seed: 1, steps, override_settings: { samples_save } })
        )
      )
    const time = async (work: () => Promise<unknown>) => {
      // onnxruntime's idle threads spin for a while; without a pause those of one side would slow the other.
      await setTimeout(50)
      const begun = performance.now()
      await work()
      return performance.now() - begun
    }
    await bare()
    await run(-1, true)
    const times = { bare: Array<number>(), inMemory: Array<number>(), saved: Array<number>() }
    const ratios = { inMemory: Array<number>(), saved: Array<number>() }
    let before = await time(bare)
    for (let round = 0; round < rounds; round++) {
      const inMemory = await time(() => run(round * 2, false))
      const between = await time(bare)
      const saved = await time(() => run(round * 2 + 1, true))
      const after = await time(bare)
      // Each run is held against the bare calls before and after it, so that a machine that slows down slows both.
      ratios.inMemory.push(inMemory / ((before + between) / 2))
      ratios.saved.push(saved / ((between + after) / 2))
      times.inMemory.push(inMemory)
      times.saved.push(saved)
      times.bare.push(between, after)
      before = after
    }
    return {
      bare: median(times.bare),
      inMemory: { time: median(times.inMemory), ratio: median(ratios.inMemory) },
      saved: { time: median(times.saved), ratio: median(ratios.saved) }
    }
  } finally {
    await runtime.dispose()
    rmSync(outdir, { recursive: true, force: true })
  }
}
