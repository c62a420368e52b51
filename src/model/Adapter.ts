/**
 * Adapters: files of changes to a model's weights, such as LoRAs, as a run uses them.
 */

/** An adapter with the strengths of one run. */
export interface AdapterUse {
  /** What the prompt calls it; messages name it so. */
  readonly name: string
  readonly file: string
  /** What multiplies its change of the denoising network: 1 as it was trained, 0 nothing; any finite number. */
  readonly unet: number
  /** What multiplies its change of the text encoders. */
  readonly textEncoder: number
  /** Ranks of low-rank changes that count, the first ones; all of them without it. */
  readonly dim?: number | undefined
}
