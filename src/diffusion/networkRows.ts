/**
 * The denoising network, asked for several prompts at once.
 *
 * Every prompt, or part of one, that leads a batch is a member; the batch goes through the network once for each
 * member, all in one call, or in several where one would take more memory than there is. Texts that change are written
 * when they change. No memory is taken after `make`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LatentSize } from "../core/LatentShape.ts"
import type { DenoisingCall, LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import { type ScheduledConditioning, textAt } from "./conditioning.ts"
import * as latentTiles from "./latentTiles.ts"
import { rowsThatFit } from "./memory.ts"

export interface NetworkRows {
  /** What the network is to see: `[batch, latentChannels, height/8, width/8]` of variance 1. Write it before `run`. */
  readonly input: Float32Array
  /** What it said for each member, of the size of `input`. Its own buffers, valid until the next `run`. */
  readonly predictions: ReadonlyArray<Float32Array>
  /** Runs the network at a training timestep, with the texts that hold at this call. */
  readonly run: (t: number, call: number) => Effect.Effect<void, NetworkError>
}

/** One prompt, or part of one, that guides a batch, with SDXL's size conditioning for it. */
export interface Member {
  readonly conditioned: ScheduledConditioning
  /** `[inputs.timeIds]`. */
  readonly timeIds: ReadonlyArray<number>
}

export interface NetworkRowsOptions extends LatentSize {
  readonly model: LoadedModel
  readonly batch: number
  readonly members: ReadonlyArray<Member>
  /** Tokens of every member's texts. */
  readonly tokens: number
  readonly seamless: boolean
  /**
   * What inpainting models read next to the latents: `[batch, inputs.channels - latentChannels, height, width]`; absent
   * for models that see nothing else.
   */
  readonly inpaintChannels: Float32Array | undefined
  /** The guidance scale for networks that read it (latent consistency models). */
  readonly guidanceScale: number
  /** Tiles, in latent values, in which larger latents are predicted; the whole at once when left out. */
  readonly tiles?: { readonly size: number; readonly overlap: number } | undefined
}

export const make: (
  options: NetworkRowsOptions
) => Effect.Effect<NetworkRows, NetworkError, Scope.Scope> = (options) => {
  const plan = tilePlan(options)
  return plan === undefined ? makeWhole(options) : makeTiled(options, plan)
}

/** What decides the size of a call. */
export type CallSize = LatentSize & Pick<NetworkRowsOptions, "seamless" | "tiles">

/** What goes through the network at once: everything, or a tile. */
export const callSize = (options: CallSize): LatentSize & { readonly seamless: boolean } => {
  const { height, seamless, width } = options
  const plan = tilePlan(options)
  return plan === undefined ? { height, width, seamless } : { ...plan.tile, seamless: false }
}

const tilePlan = ({ height, seamless, tiles, width }: CallSize): latentTiles.TilePlan | undefined => {
  if (tiles === undefined) return undefined
  const tile = { height: Math.min(tiles.size, height), width: Math.min(tiles.size, width) }
  const plan = latentTiles.plan({ height, width }, { tile, overlap: tiles.overlap }, seamless)
  return plan.isWhole ? undefined : plan
}

// The call of the network, and its buffers.
const open = Effect.fnUntraced(function*(options: NetworkRowsOptions) {
  const { batch, members, model, tokens } = options
  const shape = { ...callSize(options), tokens }
  const rows = batch * members.length
  const rowsAtOnce = yield* rowsThatFit({ ...shape, model, rows })
  return yield* model.denoising({ ...shape, batch: rows, rowsAtOnce })
})

const makeWhole = Effect.fnUntraced(function*(options: NetworkRowsOptions) {
  const { batch, inpaintChannels, height, members, model, width } = options
  const call = yield* open(options)
  writeConstants(call, options)
  const size = batch * model.latentChannels * height * width
  const predictions = predictionsOf(call, members.length, size)
  const texts = textWriter(call, options)
  if (inpaintChannels === undefined) {
    const rows: NetworkRows = {
      input: call.sample.subarray(0, size),
      predictions,
      run: (t, number) => {
        for (let member = 1; member < members.length; member++) call.sample.copyWithin(member * size, 0, size)
        texts(number)
        return call.run(t)
      }
    }
    return rows
  }
  writeInpaintChannels(call, inpaintChannels, options, options)
  const rows: NetworkRows = {
    input: new Float32Array(size),
    predictions,
    run: (t, number) => {
      writeLatents(call, rows.input, options, options)
      texts(number)
      return call.run(t)
    }
  }
  return rows
})

// Tile after tile; each is predicted as if it were all, and all are blended. Tiles of seamless latents go round the
// edges.
const makeTiled = Effect.fnUntraced(function*(options: NetworkRowsOptions, plan: latentTiles.TilePlan) {
  const { batch, inpaintChannels, height, members, model, width } = options
  const call = yield* open(options)
  writeConstants(call, options)
  const texts = textWriter(call, options)
  const channels = batch * model.latentChannels
  const size = channels * height * width
  const tileSize = channels * plan.tile.height * plan.tile.width
  const ofTile = predictionsOf(call, members.length, tileSize)
  const part = new Float32Array(tileSize)
  const others = batch * (model.inputs.channels - model.latentChannels)
  const inpaintPart = new Float32Array(others * plan.tile.height * plan.tile.width)

  const rows: NetworkRows = {
    input: new Float32Array(size),
    predictions: members.map(() => new Float32Array(size)),
    run: (t, number) => {
      texts(number)
      for (const prediction of rows.predictions) prediction.fill(0)
      return Effect.forEach(plan.tiles, (tile) =>
        Effect.suspend(() => {
          latentTiles.gather(part, rows.input, channels, plan, tile)
          writeLatents(call, part, options, plan.tile)
          if (inpaintChannels !== undefined) {
            latentTiles.gather(inpaintPart, inpaintChannels, others, plan, tile)
            writeInpaintChannels(call, inpaintPart, options, plan.tile)
          }
          return Effect.map(call.run(t), () => {
            for (const [member, prediction] of rows.predictions.entries()) {
              latentTiles.scatterAdd(prediction, ofTile[member] ?? part, channels, plan, tile)
            }
          })
        }), { discard: true })
    }
  }
  return rows
})

const predictionsOf = ({ prediction }: DenoisingCall, members: number, size: number): ReadonlyArray<Float32Array> =>
  Array.from({ length: members }, (_, member) => prediction.subarray(member * size, (member + 1) * size))

// The latents of each item, for every member.
const writeLatents = (
  call: DenoisingCall,
  latents: Float32Array,
  { batch, members, model }: NetworkRowsOptions,
  { height, width }: LatentSize
): void => {
  const latent = model.latentChannels * height * width
  const seen = model.inputs.channels * height * width
  for (let row = 0; row < batch * members.length; row++) {
    const item = row % batch
    call.sample.set(latents.subarray(item * latent, (item + 1) * latent), row * seen)
  }
}

// What inpainting models see, behind the latents of each item.
const writeInpaintChannels = (
  call: DenoisingCall,
  inpaintChannels: Float32Array,
  { batch, members, model: { inputs, latentChannels } }: NetworkRowsOptions,
  { height, width }: LatentSize
): void => {
  const area = height * width
  const others = (inputs.channels - latentChannels) * area
  for (let row = 0; row < batch * members.length; row++) {
    const item = row % batch
    call.sample.set(
      inpaintChannels.subarray(item * others, (item + 1) * others),
      (row * inputs.channels + latentChannels) * area
    )
  }
}

// What stays the same over all calls.
const writeConstants = (call: DenoisingCall, options: NetworkRowsOptions): void => {
  const { batch, guidanceScale, members, model } = options
  const { inputs } = model
  const rows = batch * members.length
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
const textWriter = (
  call: DenoisingCall,
  { batch, members, model, tokens }: NetworkRowsOptions
): (number: number) => void => {
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
 * The guidance scale w - 1 as latent consistency models read it: sines, then cosines, of 1000·(w - 1) at frequencies
 * from 1 down to 1/10000 (Luo et al., arXiv:2310.04378; the embedding of Vaswani et al. as diffusers fills
 * `timestep_cond`).
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
