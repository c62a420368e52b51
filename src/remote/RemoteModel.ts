/**
 * The model of a run that happens on another server.
 *
 * A context has a model, and this one is far away: it has a name and a size, and whoever asks its networks for anything is
 * told where they are. No stage of `RemotePipeline` does.
 */
import * as Effect from "effect/Effect"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { InferenceError, InvalidModelFolder } from "../model/ModelError.ts"

export const make = (url: string, defaultSize: LoadedModel["defaultSize"]): LoadedModel => {
  const away = new InferenceError({
    file: url,
    reason: "it is on another server, which gives pictures and no calls of its networks"
  })
  const fail = Effect.fail(away)
  return {
    name: url,
    family: "sd1",
    hash: Effect.fail(
      new InvalidModelFolder({
        folder: url,
        problems: [{ path: "", message: "it is a server, and its files are its own" }]
      })
    ),
    defaultSize,
    sizeMultiple: 8,
    latentScale: 8,
    latentChannels: 4,
    noise: {
      beta_start: 0.00085,
      beta_end: 0.012,
      beta_schedule: "scaled_linear",
      num_train_timesteps: 1000,
      prediction_type: "epsilon",
      rescale_betas_zero_snr: false,
      trained_betas: null
    },
    inputs: { channels: 4, context: 0, pooled: 0, timeIds: 0, guidance: 0 },
    latentRgb: undefined,
    warm: Effect.void,
    textEncoders: [{ vocabulary: fail, width: 0, largestClipSkip: fail, encode: () => fail }],
    denoising: () => fail,
    decode: () => fail,
    encode: () => fail
  }
}
