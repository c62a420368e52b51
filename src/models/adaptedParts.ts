/**
 * The parts of a checkpoint's model that adapters change: its denoising network and its text encoders.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import type { AdapterUse } from "../model/Adapter.ts"
import type { InvalidModelFile } from "../model/ModelError.ts"
import * as Adaptation from "./Adaptation.ts"
import type { NetworkName } from "./adapters/spellings.ts"
import type { AdaptableTextEncoder, CheckpointTextEncoder } from "./CheckpointTextEncoder.ts"
import { fitting } from "./fitting.ts"
import type { Weights } from "./graph/Weights.ts"
import type { Variants } from "./networkModel.ts"
import { Networks } from "./Networks.ts"
import { unetLayers } from "./networks/layerNames.ts"
import { type BuiltOpener, builtOpener } from "./opening.ts"

export type TextEncoders<A> = readonly [A, ...ReadonlyArray<A>]

/** The parts with adapters over their weights; those that adapters leave as they are, are the model's own. */
export interface AdaptedParts {
  readonly variants: Variants
  readonly strengths: Adaptation.Strengths
  readonly textEncoders: TextEncoders<CheckpointTextEncoder>
  readonly warnings: ReadonlyArray<string>
}

/** Adapts a model's parts, for as long as a scope. Networks of a set of files are opened when they are first used. */
export const make = Effect.fnUntraced(function*(parts: {
  readonly file: string
  readonly unet: Weights
  readonly denoiser: Variants
  readonly denoiserOf: (open: BuiltOpener, weights: Weights) => Effect.Effect<Variants>
  readonly textEncoders: TextEncoders<AdaptableTextEncoder>
}): Effect.fn.Return<
  (uses: ReadonlyArray<AdapterUse>) => Effect.Effect<AdaptedParts, InvalidModelFile, Scope.Scope>,
  never,
  Networks | FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const { denoiser, denoiserOf, file, textEncoders: own, unet } = parts
  const services = Context.pick(Networks)(yield* Effect.context<Networks>())

  const layers = Effect.gen(function*() {
    const ofUnet = yield* fitting(file, () => unetLayers(unet))
    const ofTexts = yield* Effect.forEach(own, ({ layers }) => layers)
    return new Map([["unet", ofUnet] as const, ...ofTexts.map((layers, place) => [nameAt(place), layers] as const)])
  })

  const adapt = yield* Adaptation.make(
    layers,
    Effect.fnUntraced(function*(changes) {
      const open = yield* builtOpener
      const ofUnet = changes.get("unet")
      const variants = ofUnet === undefined ? denoiser : yield* denoiserOf(open, unet.changed(ofUnet))
      const changed = Effect.fnUntraced(function*(encoder: AdaptableTextEncoder, place: number) {
        const own = changes.get(nameAt(place))
        return own === undefined ? () => encoder : yield* encoder.changed(own, open)
      })
      return { variants, textEncoders: yield* mapped(own, changed) }
    }, Effect.provideContext(services))
  )

  return Effect.fnUntraced(function*(uses) {
    const { networks, strengths, warnings } = yield* adapt(uses)
    if (networks === undefined) return { variants: denoiser, strengths: {}, textEncoders: own, warnings }
    const textEncoders = yield* mapped(
      networks.textEncoders,
      (encoder, place) => Effect.succeed(encoder(strengths.get(nameAt(place)) ?? {}))
    )
    return { variants: networks.variants, strengths: strengths.get("unet") ?? {}, textEncoders, warnings }
  })
})

const nameAt = (place: number): NetworkName => place === 0 ? "text_encoder" : "text_encoder_2"

const mapped = <A, B>(
  [first, ...others]: TextEncoders<A>,
  make: (one: A, place: number) => Effect.Effect<B>
): Effect.Effect<TextEncoders<B>> =>
  Effect.gen(function*() {
    return [yield* make(first, 0), ...(yield* Effect.forEach(others, (one, i) => make(one, i + 1)))] as const
  })
