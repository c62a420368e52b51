/**
 * Something that makes the steps of an image when it is asked to, and is idle otherwise.
 */

/** A side that is open. */
export interface Side {
  readonly name: string
  /** Makes the steps of an image; resolves with the seconds that one of them took. */
  readonly sample: () => Promise<number>
  readonly close: () => void
}

/** What each image is, and on how many threads it is made. */
export interface Work {
  /** Width and height, in pixels. */
  readonly size: number
  readonly steps: number
  readonly threads: number
}

/** What keeps a side from being measured, in a sentence for the user. */
export class PeerProblem extends Error {}
