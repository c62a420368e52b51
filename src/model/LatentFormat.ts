/**
 * What a model's latents are: how many numbers stand for how many pixels, and how they differ from the autoencoder's.
 */

/** The affine map from a latent value's channels to the mean colour of its pixels, -1 to 1: a cheap preview. */
export interface LatentRgb {
  /** `[channels][3]`. */
  readonly factors: ReadonlyArray<ReadonlyArray<number>>
  /** `[3]`. */
  readonly bias: ReadonlyArray<number>
}

export interface LatentFormat {
  readonly channels: number
  /** Pixels, and frames of a video, for each latent value in each direction. */
  readonly scale: { readonly space: number; readonly time: number }
  /** Sampled latents are (z - shift)·factor of what the autoencoder's network makes: one number for each channel. */
  readonly shift: ReadonlyArray<number>
  readonly factor: ReadonlyArray<number>
  /** Absent where none was fitted. */
  readonly rgb: LatentRgb | undefined
}

/** A format of one factor for all channels, without a shift. */
export const scaledBy = (
  factor: number,
  { channels, rgb, space }: { readonly channels: number; readonly space: number; readonly rgb: LatentRgb | undefined }
): LatentFormat => ({
  channels,
  scale: { space, time: 1 },
  shift: Array.from({ length: channels }, () => 0),
  factor: Array.from({ length: channels }, () => factor),
  rgb
})

/** Writes an autoencoder's `[channels, ...]` as sampled latents; `out` may be `values`. */
export const normalise = (out: Float32Array, values: Float32Array, { channels, factor, shift }: LatentFormat): void => {
  const size = out.length / channels
  for (let i = 0; i < out.length; i++) {
    const channel = Math.floor(i / size)
    out[i] = ((values[i] as number) - (shift[channel] as number)) * (factor[channel] as number)
  }
}

/** The inverse of `normalise`. */
export const denormalise = (
  out: Float32Array,
  values: Float32Array,
  { channels, factor, shift }: LatentFormat
): void => {
  const size = values.length / channels
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / size)
    out[i] = (values[i] as number) / (factor[channel] as number) + (shift[channel] as number)
  }
}

/** Whether two models' latents are of one kind. */
export const areAlike = (a: LatentFormat, b: LatentFormat): boolean =>
  a.channels === b.channels && a.scale.space === b.scale.space && a.scale.time === b.scale.time
