/**
 * The denoising network, asked for several prompts at once.
 *
 * Every prompt, or part of one, that leads a batch is a member; the batch goes through the network once for each member,
 * all in one call. Texts that change are written when they change. No memory is taken after `make`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DenoisingCall, LatentSize, LoadedModel, NetworkError } from "../runner/LoadedModel.ts"
import { type Conditioned, textAt } from "./conditioning.ts"

export interface NetworkRows {
  /** What the network is to see: `[batch, latentChannels, height/8, width/8]` of variance 1. Write it before `run`. */
  readonly input: Float32Array
  /** What it said for each member, of the size of `input`. Its own buffers, valid until the next `run`. */
  readonly predictions: ReadonlyArray<Float32Array>
  /** Runs the network at a training timestep, with the texts that hold at this call. */
  readonly run: (t: number, call: number) => Effect.Effect<void, NetworkError>
}

/** Someone who leads: a prompt over a run, and what SDXL is told of the picture's size for it. */
export interface Member {
  readonly conditioned: Conditioned
  /** `[inputs.timeIds]`. */
  readonly timeIds: ReadonlyArray<number>
}

export interface Options extends LatentSize {
  readonly model: LoadedModel
  readonly batch: number
  readonly members: ReadonlyArray<Member>
  /** Tokens of every member's texts. */
  readonly tokens: number
  readonly seamless: boolean
  /**
   * What inpainting models see beside the latents: `[batch, inputs.channels - latentChannels, height, width]`; absent for
   * models that see nothing else.
   */
  readonly beside: Float32Array | undefined
  /** The guidance scale for networks that read it (latent consistency models). */
  readonly guidanceScale: number
}

export const make: (options: Options) => Effect.Effect<NetworkRows, NetworkError, Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const { batch, height, members, model, seamless, tokens, width } = options
    const call = yield* model.denoising({ batch: batch * members.length, tokens, height, width, seamless })
    writeConstants(call, options)

    const { latentChannels } = model
    const size = batch * latentChannels * height * width
    const predictions = members.map((_, member) => call.prediction.subarray(member * size, (member + 1) * size))
    const texts = textWriter(call, options)
    if (options.beside === undefined) {
      return {
        input: call.sample.subarray(0, size),
        predictions,
        run: (t, number) => {
          for (let member = 1; member < members.length; member++) call.sample.copyWithin(member * size, 0, size)
          texts(number)
          return call.run(t)
        }
      }
    }
    const input = new Float32Array(size)
    const latent = latentChannels * height * width
    const seen = model.inputs.channels * height * width
    return {
      input,
      predictions,
      run: (t, number) => {
        for (let row = 0; row < batch * members.length; row++) {
          const item = row % batch
          call.sample.set(input.subarray(item * latent, (item + 1) * latent), row * seen)
        }
        texts(number)
        return call.run(t)
      }
    }
  }
)

// What stays the same over all calls.
const writeConstants = (call: DenoisingCall, options: Options): void => {
  const { batch, beside, guidanceScale, height, members, model, width } = options
  const { inputs, latentChannels } = model
  const rows = batch * members.length
  if (beside !== undefined) {
    const area = height * width
    const others = (inputs.channels - latentChannels) * area
    for (let row = 0; row < rows; row++) {
      const item = row % batch
      call.sample.set(
        beside.subarray(item * others, (item + 1) * others),
        (row * inputs.channels + latentChannels) * area
      )
    }
  }
  for (const [member, { timeIds }] of members.entries()) {
    if (inputs.timeIds === 0) break
    for (let item = 0; item < batch; item++) call.timeIds.set(timeIds, (member * batch + item) * inputs.timeIds)
  }
  if (inputs.guidance > 0) {
    const embedding = guidanceEmbedding(guidanceScale, inputs.guidance)
    for (let row = 0; row < rows; row++) call.guidance.set(embedding, row * inputs.guidance)
  }
}

// Writes each member's text of a call where it is not there yet.
const textWriter = (call: DenoisingCall, { batch, members, model, tokens }: Options): (number: number) => void => {
  const { context, pooled } = model.inputs
  const size = tokens * context
  const written = members.map(() => -1)
  return (number) => {
    for (let member = 0; member < members.length; member++) {
      const conditioned = members[member]?.conditioned
      if (conditioned === undefined) continue
      const text = textAt(conditioned, number)
      if (written[member] === text) continue
      const embedding = conditioned.embeddings[text]
      if (embedding === undefined) continue
      for (let item = 0; item < batch; item++) {
        const row = member * batch + item
        call.conditioning.set(embedding.values, row * size)
        if (pooled > 0) call.pooled.set(embedding.pooled, row * pooled)
      }
      written[member] = text
    }
  }
}

/**
 * The guidance scale w - 1 as latent consistency models read it: sines, then cosines, of 1000·(w - 1) at frequencies from 1
 * down to 1/10000 (Luo et al., arXiv:2310.04378; the embedding of Vaswani et al. as diffusers fills `timestep_cond`).
 */
export const guidanceEmbedding = (guidanceScale: number, width: number): Float32Array => {
  const half = Math.floor(width / 2)
  const embedding = new Float32Array(width)
  for (let i = 0; i < half; i++) {
    const angle = 1000 * (guidanceScale - 1) * Math.exp(-i * Math.log(10_000) / Math.max(1, half - 1))
    embedding[i] = Math.sin(angle)
    embedding[half + i] = Math.cos(angle)
  }
  return embedding
}
