/**
 * Fits the cheap preview: the affine map from a latent value's channels to the mean colour of its 8 x 8 pixels.
 *
 * It makes pictures with the model itself, takes their latents and what the decoder makes of them, and solves the least
 * squares. Run it with `node models/shapes-128/train/fit_latent_rgb.ts` in the project's root; it writes
 * `models/shapes-128/latent_rgb.json`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Txt2Img } from "../../../src/processing/Processing.ts"
import type { LoadedModel } from "../../../src/model/LoadedModel.ts"
import { processImages } from "../../../src/runner/processImages.ts"
import { CaptureContext } from "../../../src/runner/RuntimeContext.ts"
import * as Serena from "../../../src/Serena.ts"

const prompts = [
  "a red circle on a blue background",
  "a green square on a white background",
  "a yellow star on a black background",
  "a pink heart on a cyan background",
  "an orange diamond on a purple background",
  "a white ring on a green background",
  "a black cross on a yellow background",
  "a blue triangle on an orange background",
  "a cyan circle on a pink background",
  "a purple star on a red background"
]

// Ten latents for each prompt, with what the decoder makes of them.
const pairs: Array<{ readonly latent: Float32Array; readonly rgb: Float32Array }> = []

const watched = (model: LoadedModel): LoadedModel => ({
  ...model,
  decode: (latent, shape) =>
    Effect.tap(model.decode(latent, shape), (rgb) =>
      Effect.sync(() => pairs.push({ latent: latent.slice(), rgb: rgb.slice() })))
})

const layerWatched = Layer.effect(
  CaptureContext,
  Effect.map(CaptureContext, ({ capture }) =>
    CaptureContext.of({
      capture: (request) => Effect.map(capture(request), (context) => ({ ...context, model: watched(context.model) }))
    }))
).pipe(Layer.provideMerge(Serena.layer()))

await Effect.runPromise(
  Effect.forEach(prompts, (prompt) =>
    processImages(Txt2Img.make({
      prompt,
      seed: 1,
      steps: 20,
      cfg_scale: 4,
      batch_size: 10,
      override_settings: { samples_save: false }
    }))).pipe(Effect.provide(layerWatched))
)

const channels = 4
const side = 16
const scale = 8
const terms = channels + 1

// Normal equations: one row for each latent position, a constant term last.
const normal = Array.from({ length: terms }, () => new Float64Array(terms))
const moments = Array.from({ length: terms }, () => new Float64Array(3))
const rows: Array<{ readonly x: ReadonlyArray<number>; readonly y: ReadonlyArray<number> }> = []
for (const { latent, rgb } of pairs) {
  for (let place = 0; place < side * side; place++) {
    const x = [...Array.from({ length: channels }, (_, c) => latent[c * side * side + place] ?? 0), 1]
    const [top, left] = [Math.floor(place / side) * scale, (place % side) * scale]
    const y = [0, 1, 2].map((colour) => {
      let sum = 0
      for (let i = 0; i < scale * scale; i++) {
        const at = (colour * side * scale + top + Math.floor(i / scale)) * side * scale + left + i % scale
        sum += Math.min(1, Math.max(-1, rgb[at] ?? 0))
      }
      return sum / (scale * scale)
    })
    rows.push({ x, y })
    for (let i = 0; i < terms; i++) {
      const [row, moment, xi] = [normal[i], moments[i], x[i]]
      if (row === undefined || moment === undefined || xi === undefined) continue
      for (let j = 0; j < terms; j++) row[j] = (row[j] ?? 0) + xi * (x[j] ?? 0)
      for (let c = 0; c < 3; c++) moment[c] = (moment[c] ?? 0) + xi * (y[c] ?? 0)
    }
  }
}

// Gauss-Jordan with pivoting on a 5 x 5 system.
const matrix = normal.map((row, i) => [...row, ...(moments[i] ?? [])])
for (let i = 0; i < terms; i++) {
  const pivot = matrix.slice(i).reduce((best, row, k) => Math.abs(row[i] ?? 0) > Math.abs(matrix[best]?.[i] ?? 0) ? i + k : best, i)
  const [a, b] = [matrix[i], matrix[pivot]]
  if (a === undefined || b === undefined) throw new Error("no pivot")
  matrix[i] = b
  matrix[pivot] = a
  const head = b[i] ?? 1
  for (let j = 0; j < b.length; j++) b[j] = (b[j] ?? 0) / head
  for (const [k, row] of matrix.entries()) {
    const factor = row[i] ?? 0
    if (k !== i) { for (let j = 0; j < row.length; j++) row[j] = (row[j] ?? 0) - factor * (b[j] ?? 0) }
  }
}
const solution = matrix.map((row) => row.slice(terms))
const predict = (x: ReadonlyArray<number>, colour: number) =>
  x.reduce((sum, value, i) => sum + value * (solution[i]?.[colour] ?? 0), 0)

const means = [0, 1, 2].map((c) => rows.reduce((sum, { y }) => sum + (y[c] ?? 0), 0) / rows.length)
const residual = rows.reduce((sum, { x, y }) => sum + y.reduce((s, v, c) => s + (v - predict(x, c)) ** 2, 0), 0)
const total = rows.reduce((sum, { y }) => sum + y.reduce((s, v, c) => s + (v - (means[c] ?? 0)) ** 2, 0), 0)

const round = (value: number) => Number(value.toFixed(5))
const out = {
  about: "Mean colour of a latent value's 8 x 8 pixels, -1 to 1: rgb = factors[channel] * latent[channel] + bias. " +
    "Least squares over 100 pictures of this model, by train/fit_latent_rgb.ts.",
  explained_variance: round(1 - residual / total),
  factors: solution.slice(0, channels).map((row) => row.map(round)),
  bias: (solution[channels] ?? []).map(round)
}
writeFileSync(
  fileURLToPath(new URL("../latent_rgb.json", import.meta.url)),
  `${JSON.stringify(out, null, 2)}\n`
)
process.stdout.write(`explained variance ${out.explained_variance}\n`)
