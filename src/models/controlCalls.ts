/**
 * ControlNets in the calls of a denoising network: they run before it, and what they add is where it reads it.
 *
 * The residuals of several are added up by the networks themselves, in one set of buffers that all rows of a call use
 * in turn. Nothing is computed for a ControlNet whose scales are 0.
 */
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import type * as Scope from "effect/Scope"
import type { ControlBuffers, DenoisingShape, MemoryEstimate } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import type { Variants } from "./networkModel.ts"
import type { Residual } from "./networks/controlNet.ts"
import * as TensorBuffer from "./TensorBuffer.ts"

/** A ControlNet's network, summed, as `controlNet` builds it. */
export interface ControlNetwork {
  readonly variants: Variants
  /** Which of the denoiser's inputs it reads too. */
  readonly inputs: ReadonlyArray<string>
}

/** What a denoiser takes from ControlNets: one at least. */
export interface Controls {
  readonly networks: ReadonlyArray<ControlNetwork>
  readonly residuals: ReadonlyArray<Residual>
}

/** Rows of a call that go through the networks at once. */
interface Range {
  readonly from: number
  readonly to: number
}

export interface ControlCalls {
  readonly buffers: ReadonlyArray<ControlBuffers>
  /**
   * Binds the ControlNets to rows of a call: `inputs` are the denoiser's own. It reads `residuals` in addition, which
   * `run` fills.
   */
  readonly bind: (range: Range, inputs: TensorBuffer.TensorBuffers) => Effect.Effect<
    { readonly residuals: TensorBuffer.TensorBuffers; readonly run: Effect.Effect<void, NetworkError> },
    NetworkError,
    Scope.Scope
  >
}

/** Pixels of the image to follow for each latent value, on both sides: what its first layers make of it. */
const hintScale = 8

type Size = Pick<DenoisingShape, "height" | "width">

const residualDims = ({ channels, halvings }: Residual, { height, width }: Size, rows: number) => [
  rows,
  channels,
  Math.ceil(height / 2 ** halvings),
  Math.ceil(width / 2 ** halvings)
]

const hintDims = ({ height, width }: Size) => [1, 3, height * hintScale, width * hintScale]

/** Sizes of what a denoiser reads in addition. */
export const residualSizes = ({ residuals }: Controls, shape: DenoisingShape) =>
  Object.fromEntries(residuals.map((residual, i) => [`residual.${i}`, residualDims(residual, shape, shape.batch)]))

/** Buffers of the ControlNets for a call whose rows go through the networks `each` at a time. */
export const make = Effect.fnUntraced(function*(
  { networks, residuals }: Controls,
  shape: DenoisingShape,
  each: number
): Effect.fn.Return<ControlCalls, NetworkError> {
  const opened = yield* Effect.forEach(
    networks,
    ({ inputs, variants }) => Effect.map(variants(shape.seamless), ({ network }) => ({ inputs, network }))
  )
  const sums = residuals.map((residual) => TensorBuffer.make("float32", residualDims(residual, shape, each)))
  const controls = opened.map(({ inputs, network }) => ({
    inputs,
    network,
    hint: TensorBuffer.make("float32", hintDims(shape)),
    scales: TensorBuffer.make("float32", [shape.batch, residuals.length])
  }))
  // New memory is 0.
  let isZero = true
  const clear = Effect.forEach(
    sums,
    ({ values }) => Effect.andThen(Effect.sync(() => values.fill(0)), Effect.yieldNow),
    { discard: true }
  ).pipe(Effect.andThen(Effect.sync(() => void (isZero = true))))

  return {
    buffers: controls.map(({ hint, scales }) => ({ hint: hint.values, scales: scales.values })),
    bind: Effect.fnUntraced(function*({ from, to }, inputs) {
      const named = (name: string) =>
        Object.fromEntries(sums.map((sum, i) => [`${name}.${i}`, TensorBuffer.rows(sum, 0, to - from)]))
      const outputs = named("residual")
      const calls = yield* Effect.forEach(
        controls,
        Effect.fnUntraced(function*({ hint, inputs: read, network, scales }) {
          const own = TensorBuffer.rows(scales, from, to)
          const keep = TensorBuffer.make("float32", [1])
          const { run } = yield* TensorBuffer.bind(network, {
            inputs: {
              ...Record.filter(inputs, (_, name) => read.includes(name)),
              controlnet_cond: hint,
              scales: own,
              keep,
              // The sums are read and written in place: each number is read before it is written, and only once.
              ...named("before")
            },
            outputs
          })
          return { keep: keep.values, run, scales: own.values }
        })
      )
      return {
        residuals: outputs,
        run: Effect.suspend(() => {
          const acting = calls.filter(({ scales }) => scales.some((scale) => scale !== 0))
          if (acting.length === 0) return isZero ? Effect.void : clear
          isZero = false
          for (const [i, { keep }] of acting.entries()) keep[0] = i === 0 ? 0 : 1
          return Effect.forEach(acting, ({ run }) => run, { discard: true })
        })
      }
    })
  }
})

/** What a call takes with its ControlNets, whose memory is there at the same time, and with the residuals. */
export const estimate = Effect.fnUntraced(function*(
  { networks, residuals }: Controls,
  shape: DenoisingShape,
  denoiser: { readonly needs: MemoryEstimate | undefined; readonly inputs: Record<string, ReadonlyArray<number>> }
): Effect.fn.Return<MemoryEstimate | undefined, NetworkError> {
  const before = Object.fromEntries(
    residuals.map((residual, i) => [`before.${i}`, residualDims(residual, shape, shape.batch)])
  )
  const all = yield* Effect.forEach(
    networks,
    ({ inputs, variants }) =>
      Effect.flatMap(variants(shape.seamless), ({ network }) =>
        network.estimate({
          ...Record.filter(denoiser.inputs, (_, name) => inputs.includes(name)),
          controlnet_cond: hintDims(shape),
          scales: [shape.batch, residuals.length],
          keep: [1],
          ...before
        }))
  )
  const known = [denoiser.needs, ...all].filter((one) => one !== undefined)
  const [first] = known
  const values = Object.values(before).reduce((sum, dims) => sum + dims.reduce((size, dim) => size * dim, 1), 0)
  return first && {
    ...first,
    needed: known.reduce((sum, { needed }) => sum + needed, values * Float32Array.BYTES_PER_ELEMENT),
    available: Math.max(...known.map(({ available }) => available))
  }
})
