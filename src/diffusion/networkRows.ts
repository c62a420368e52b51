/**
 * The denoising network, asked for several prompts at once.
 *
 * Every prompt, or part of one, that leads a batch is a member; the batch goes through the network once for each
 * member, all in one call, or in several where one would take more memory than there is. Texts that change are written
 * when they change. No memory is taken after `make`.
 */
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import type * as Scope from "effect/Scope"
import { latentLength, type LatentShape } from "../core/LatentShape.ts"
import type { Raster } from "../core/Raster.ts"
import { inTurns, type Parts } from "../core/Work.ts"
import type { NamedTensors, ScheduledConditioning } from "../model/Conditioner.ts"
import type { DenoisingCall, DenoisingShape, LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import { sourceInput } from "../model/SourceChannels.ts"
import { entryAt } from "../prompt/PromptSchedule.ts"
import { type HintPart, writeHint } from "./hints.ts"
import * as latentTiles from "./latentTiles.ts"
import { rowsThatFit } from "./memory.ts"

/** Pixels of a ControlNet's image for each latent value, on both sides. */
const hintScale = 8

export interface NetworkRows {
  /** What the network is to see: `[batch, channels, frames, height, width]` of variance 1. Write it before `run`. */
  readonly input: Float32Array
  /** What it said for each member, of the size of `input`. Its own buffers, valid until the next `run`. */
  readonly predictions: ReadonlyArray<Float32Array>
  /** Runs the network at a timestep, with the texts that hold at this call. */
  readonly run: (t: number, call: number) => Effect.Effect<void, NetworkError>
}

export interface NetworkRowsOptions {
  readonly model: LoadedModel
  readonly batch: number
  /** Shape of one latent. */
  readonly shape: LatentShape
  /** The prompts, or parts of one, that guide the batch; one at least, all of the same names and shapes. */
  readonly members: ReadonlyArray<ScheduledConditioning>
  readonly seamless: boolean
  /** What the network reads of a source image: `[batch, source.channels, frames, height, width]`; absent for others. */
  readonly source: Float32Array | undefined
  /** How many members, the last ones, see zeros in place of the source image; none when left out. */
  readonly withoutSource?: number | undefined
  /** The first members that are parts of the prompt, without the negative one. */
  readonly prompted: number
  /** The ControlNets that the model follows, in their order. */
  readonly controls?: ReadonlyArray<RowControl> | undefined
  /** Tiles, in latent values, in which larger latents are predicted; the whole at once when left out. */
  readonly tiles?: { readonly size: number; readonly overlap: number } | undefined
  /** When deep layers are reused; never when left out, and where latents are predicted in tiles. */
  readonly deepReuse?: DeepReuse | undefined
  /** Fraction of the tokens that are merged; none when left out. */
  readonly tokenMerging?: number | undefined
  /** Most runs whose calls are made as one; 1 when left out. */
  readonly runsPerCall?: number | undefined
}

/** DeepCache: of `every` calls in a row one computes the deep layers, from the call `from` on. */
export interface DeepReuse {
  readonly every: number
  readonly from: number
}

/** How a ControlNet acts on the rows of a call. */
export interface RowControl {
  /** The image to follow, eight pixels for each latent value on both sides. */
  readonly image: Raster
  /** What each residual is multiplied by while it acts. */
  readonly scales: Float32Array
  /** Whether it leaves the negative prompt alone. */
  readonly isForPromptOnly: boolean
  /** Whether it acts in the call that is about to be made. */
  readonly isActing: () => boolean
}

export const make: (
  options: NetworkRowsOptions
) => Effect.Effect<NetworkRows, NetworkError, Scope.Scope> = (options) => {
  const plan = tilePlan(options)
  return plan === undefined ? makeWhole(options) : makeTiled(options, plan)
}

/** What decides the shape of a call, apart from its rows. */
export type CallOptions = Pick<NetworkRowsOptions, "members" | "model" | "seamless" | "shape" | "tiles">

/** What goes through the network at once: everything, or a tile. */
export const callShape = (options: CallOptions): Omit<DenoisingShape, "batch"> => {
  const { members, model: { source }, seamless, shape } = options
  const plan = tilePlan(options)
  const part = plan === undefined ? { ...shape, seamless } : { ...shape, ...plan.tile, seamless: false }
  return {
    ...part,
    inputs: {
      ...Record.map(members[0]?.texts[0] ?? {}, ({ dims }) => dims),
      ...(source && { [sourceInput]: [source.channels, part.frames, part.height, part.width] })
    }
  }
}

const tilePlan = ({ seamless, shape, tiles }: CallOptions): latentTiles.TilePlan | undefined => {
  if (tiles === undefined) return undefined
  const tile = { height: Math.min(tiles.size, shape.height), width: Math.min(tiles.size, shape.width) }
  const plan = latentTiles.plan(shape, { tile, overlap: tiles.overlap }, seamless)
  return plan.isWhole ? undefined : plan
}

// The call of the network, and its buffers.
const open = Effect.fnUntraced(function*(options: NetworkRowsOptions, keepsDeep = false) {
  const { batch, members, model, runsPerCall, tokenMerging } = options
  const shape = { ...callShape(options), batch: batch * members.length }
  const rowsAtOnce = yield* rowsThatFit(model, shape)
  return yield* model.denoising({ ...shape, keepsDeep, tokenMerging, runsPerCall, rowsAtOnce })
})

const makeWhole = Effect.fnUntraced(function*(options: NetworkRowsOptions) {
  const { batch, deepReuse, members, shape, source, withoutSource = 0 } = options
  const call = yield* open(options, deepReuse !== undefined)
  const size = batch * latentLength(shape)
  const texts = textWriter(call, options)
  const reusesDeep = reuseOf(members, deepReuse)
  if (source !== undefined) writeForAll(call.inputs[sourceInput], source, members.length - withoutSource)
  yield* writeHints(call, options)
  const rows: NetworkRows = {
    input: call.sample.subarray(0, size),
    predictions: predictionsOf(call, members.length, size),
    run: (t, number) => {
      for (let member = 1; member < members.length; member++) call.sample.copyWithin(member * size, 0, size)
      writeScales(call, options)
      return Effect.andThen(texts(number), call.run(t, reusesDeep(number)))
    }
  }
  return rows
})

// Whether a call may reuse the deep layers of an earlier one: it is not too long ago, and the texts are the same.
const reuseOf = (members: NetworkRowsOptions["members"], reuse?: DeepReuse): (number: number) => boolean => {
  const textsAt = (number: number) => members.map(({ schedule }) => entryAt(schedule, number).index).join()
  let latest: { readonly number: number; readonly texts: string } | undefined
  return (number) => {
    if (reuse === undefined) return false
    const texts = textsAt(number)
    const isRecent = latest !== undefined && number < latest.number + reuse.every && texts === latest.texts
    if (isRecent && number >= reuse.from) return true
    latest = { number, texts }
    return false
  }
}

// Tile after tile; each is predicted as if it were all, and all are blended. Tiles of seamless latents go round the
// edges.
const makeTiled = Effect.fnUntraced(function*(options: NetworkRowsOptions, plan: latentTiles.TilePlan) {
  const { batch, members, model, shape, source, withoutSource = 0 } = options
  const call = yield* open(options)
  const texts = textWriter(call, options)
  const planes = batch * shape.channels * shape.frames
  const area = plan.tile.height * plan.tile.width
  const part = new Float32Array(planes * area)
  const ofTile = predictionsOf(call, members.length, part.length)
  const sourcePlanes = batch * (model.source?.channels ?? 0) * shape.frames
  const sourcePart = new Float32Array(sourcePlanes * area)

  const rows: NetworkRows = {
    input: new Float32Array(batch * latentLength(shape)),
    predictions: members.map(() => new Float32Array(batch * latentLength(shape))),
    run: (t, number) => {
      writeScales(call, options)
      for (const prediction of rows.predictions) prediction.fill(0)
      const tiles = Effect.forEach(plan.tiles, (tile) =>
        Effect.suspend(() => {
          latentTiles.gather(part, rows.input, planes, plan, tile)
          writeForAll(call.sample, part, members.length)
          if (source !== undefined) {
            latentTiles.gather(sourcePart, source, sourcePlanes, plan, tile)
            writeForAll(call.inputs[sourceInput], sourcePart, members.length - withoutSource)
          }
          const cut = writeHints(call, options, {
            top: (plan.grid.rows.starts[tile.row] ?? 0) * hintScale,
            left: (plan.grid.columns.starts[tile.column] ?? 0) * hintScale,
            height: plan.tile.height * hintScale,
            width: plan.tile.width * hintScale
          })
          return Effect.map(Effect.andThen(cut, call.run(t)), () => {
            for (const [member, prediction] of rows.predictions.entries()) {
              latentTiles.scatterAdd(prediction, ofTile[member] ?? part, planes, plan, tile)
            }
          })
        }), { discard: true })
      return Effect.andThen(texts(number), tiles)
    }
  }
  return rows
})

const predictionsOf = ({ prediction }: DenoisingCall, members: number, size: number): ReadonlyArray<Float32Array> =>
  Array.from({ length: members }, (_, member) => prediction.subarray(member * size, (member + 1) * size))

// A batch's values, for the first members. Buffers are zero where nothing was written.
const writeForAll = (all: Float32Array | undefined, values: Float32Array, members: number): void => {
  for (let member = 0; member < members; member++) all?.set(values, member * values.length)
}

// Writes the images to follow, or a part of each, in turns with other fibers.
const writeHints = (call: DenoisingCall, { controls = [] }: NetworkRowsOptions, part?: HintPart): Effect.Effect<void> =>
  Effect.forEach(controls, ({ image }, i) => {
    const hint = call.controls?.[i]?.hint
    return hint === undefined ? Effect.void : inTurns(() => writeHint(hint, image, part))
  }, { discard: true })

// What multiplies the residuals in each row of the next call.
const writeScales = (call: DenoisingCall, { batch, controls = [], members, prompted }: NetworkRowsOptions): void => {
  for (const [i, { isActing, isForPromptOnly, scales }] of controls.entries()) {
    const all = call.controls?.[i]?.scales
    if (all === undefined) continue
    const isOn = isActing()
    for (let row = 0; row < members.length * batch; row++) {
      const acts = isOn && (row < prompted * batch || !isForPromptOnly)
      const place = row * scales.length
      if (acts) all.set(scales, place)
      else all.fill(0, place, place + scales.length)
    }
  }
}

/** Numbers of a text that are written in one part. A text of many chunks has millions of them. */
const textAtOnce = 2 ** 18

// Writes each member's text of a call where it is not there yet, in turns with other fibers.
const textWriter = (
  call: DenoisingCall,
  { batch, members }: NetworkRowsOptions
): (number: number) => Effect.Effect<void> => {
  const written = members.map((): NamedTensors | undefined => undefined)
  const textsAt = (number: number) => members.map(({ schedule, texts }) => texts[entryAt(schedule, number).index])
  function* writing(wanted: ReadonlyArray<NamedTensors | undefined>): Parts<void> {
    for (const [member, text] of wanted.entries()) {
      if (text === undefined || written[member] === text) continue
      for (const [name, { values }] of Object.entries(text)) {
        for (let item = 0; item < batch; item++) {
          const row = (member * batch + item) * values.length
          for (let at = 0; at < values.length; at += textAtOnce) {
            call.inputs[name]?.set(values.subarray(at, at + textAtOnce), row + at)
            yield
          }
        }
      }
      written[member] = text
    }
  }
  return (number) => {
    const wanted = textsAt(number)
    const isWritten = wanted.every((text, member) => text === undefined || text === written[member])
    return isWritten ? Effect.void : inTurns(() => writing(wanted))
  }
}
