/**
 * One side of `wholeRun`, in a process of its own: `bare` makes onnxruntime's calls and nothing else, `serena` makes a
 * whole run. It does so as often as a message says, and answers with the milliseconds that took.
 */
import * as ManagedRuntime from "effect/ManagedRuntime"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { InferenceSession, Tensor } from "onnxruntime-node"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"

const folder = fileURLToPath(new URL("../../models/shapes-128/", import.meta.url))
const steps = 20

const float = (dims: ReadonlyArray<number>) =>
  new Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)).map((_, i) => Math.sin(i * 0.37)), dims)

// One prompt that was not seen before, 20 guided steps, one decoding: what a run asks of the networks.
const bare = async () => {
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

const serena = (samples_save: boolean) => {
  const runtime = ManagedRuntime.make(Serena.layer({
    options: { outdir_txt2img_samples: process.argv[3] ?? "outputs" }
  }))
  let count = 0
  return () =>
    runtime.runPromise(
      processImages(
        Txt2Img.make({ prompt: `a red circle ${count++}`, seed: 1, steps, override_settings: { samples_save } })
      )
    )
}

const side = process.argv[2]
const run: () => Promise<unknown> = side === "bare" ? await bare() : serena(side === "saved")
process.on("message", async (runs) => {
  const begun = performance.now()
  for (let i = 0; i < Number(runs); i++) await run()
  process.send?.(performance.now() - begun)
})
