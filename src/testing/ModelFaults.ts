/**
 * Models whose networks fail, die, hang or run slowly.
 *
 * ```ts
 * TestRuntime.layer({ model: ModelFaults.outOfMemory({ step: 3 })(TestModel.make()) })
 * ```
 *
 * Faults can be added to any model, including the embedded one.
 */
import * as Arr from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { TextEncoder } from "../model/Conditioner.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { InferenceError, type NetworkError, NetworkThreadDied } from "../model/ModelError.ts"
import type { Hanging as HangingStage } from "./Faults.ts"

/** Adds a fault to a model. */
export type ModelFault = (model: LoadedModel) => LoadedModel

/**
 * Where a fault occurs: when a prompt is encoded, when an image is encoded or decoded, or at a denoising call, counted
 * from 1 in each batch. First-order samplers make one denoising call per step.
 */
export type Place = "embed" | "encode" | "decode" | { readonly step: number }

/** A network call. */
export type Call<A> = Effect.Effect<A, NetworkError>

export interface Options {
  /** How often the fault occurs. Defaults to every time. */
  readonly times?: number | undefined
}

/** Replaces the work of a call; the replacement may still make it. */
export const at = (
  place: Place,
  instead: <A>(call: Call<A>) => Call<A>,
  { times = Infinity }: Options = {}
): ModelFault => {
  let struck = 0
  const strike = <A>(call: Call<A>): Call<A> => Effect.suspend(() => struck++ < times ? instead(call) : call)
  return (model) => ({
    ...model,
    textEncoders: place === "embed" ? Arr.map(model.textEncoders, worseEncoder(strike)) : model.textEncoders,
    encode: (pixels, shape) => place === "encode" ? strike(model.encode(pixels, shape)) : model.encode(pixels, shape),
    decode: (latent, shape) => place === "decode" ? strike(model.decode(latent, shape)) : model.decode(latent, shape),
    denoising: (shape) =>
      Effect.map(model.denoising(shape), (call) => {
        let step = 0
        return {
          ...call,
          run: (...args) =>
            Effect.suspend(() => {
              const run = Effect.suspend(() => call.run(...args))
              return typeof place === "object" && ++step === place.step ? strike(run) : run
            })
        }
      })
  })
}

const worseEncoder = (strike: <A>(call: Call<A>) => Call<A>) => (encoder: TextEncoder): TextEncoder => ({
  ...encoder,
  encode: (ids, options) => strike(encoder.encode(ids, options))
})

/** The call fails. */
export const fail = (place: Place, error: NetworkError, options?: Options): ModelFault =>
  at(place, () => Effect.fail(error), options)

/** The call dies with a defect. */
export const die = (place: Place, defect: unknown, options?: Options): ModelFault =>
  at(place, () => Effect.die(defect), options)

/** The call takes longer. Like any network call, it cannot be interrupted meanwhile. */
export const delay = (place: Place, duration: Duration.Input, options?: Options): ModelFault =>
  at(place, (call) => Effect.uninterruptible(Effect.delay(call, duration)), options)

/** The call runs out of memory, with onnxruntime's own message. */
export const outOfMemory = (place: Place, options?: Options): ModelFault =>
  fail(
    place,
    new InferenceError({
      file: `${networks[typeof place === "object" ? "step" : place]}/model.onnx`,
      reason: "Non-zero status code returned while running Conv node. Name:'/conv_in/Conv' Status Message: " +
        "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* " +
        "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) " +
        "Failed to allocate memory for requested buffer of size 17179869184",
      remedy: "size"
    }),
    options
  )

const networks = { embed: "text_encoder", step: "unet", encode: "vae_encoder", decode: "vae_decoder" } as const

/** The network thread dies during the call: once by default, because the next call starts a new thread. */
export const threadDied = (place: Place, options: Options = { times: 1 }): ModelFault =>
  fail(place, new NetworkThreadDied({ reason: "it exited with code 134" }), options)

/** A call that waits before it starts. */
export interface Hanging extends Omit<HangingStage, "fault"> {
  readonly fault: ModelFault
}

/**
 * The call hangs until it is released.
 *
 * It can be interrupted like a call that waits for its turn. With `inFlight` it counts as started, and an interruption
 * waits for it to end.
 */
export const hang = Effect.fnUntraced(function*(
  place: Place,
  { inFlight = false, ...options }: Options & { readonly inFlight?: boolean | undefined } = {}
): Effect.fn.Return<Hanging> {
  const reached = yield* Latch.make()
  const released = yield* Latch.make()
  const wait = Effect.andThen(reached.open, released.await)
  return {
    fault: at(place, (call) => Effect.andThen(inFlight ? Effect.uninterruptible(wait) : wait, call), options),
    hanging: reached.await,
    release: released.open
  }
})
