/**
 * A picture in memory: 8-bit samples, interleaved, row by row.
 */

export interface Raster {
  readonly width: number
  readonly height: number
  /** 1: grey. 3: RGB. 4: RGB and alpha, not multiplied. */
  readonly channels: 1 | 3 | 4
  /** `[height, width, channels]`. */
  readonly data: Uint8Array
}
