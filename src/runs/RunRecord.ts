/**
 * A run as it is kept: what was asked, how far it is, and how it ended.
 *
 * A record holds no pixels and no open resource: images are named by the hash of their bytes and lie in the
 * `BlobStore`. It is plain data, written as JSON in a `format` that is numbered, so that processes of several versions
 * can share one store. `RunEvent` says what can happen to it.
 */
import * as Schema from "effect/Schema"
import { RunError } from "../contract/errors.ts"
import { AskedRequest } from "../contract/Run.ts"
import { Seed } from "../core/Seed.ts"

/** The format of records that this version writes and understands. */
export const format = 1

/** The SHA-256 of a blob's bytes, in hexadecimal. */
export const BlobHash = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))
export type BlobHash = typeof BlobHash.Type

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
/** Milliseconds since the epoch. */
const moment = Schema.Finite

const file = {
  blob: BlobHash,
  /** Size in bytes. */
  bytes: count,
  format: Schema.Literals(["png", "jpg", "webp"]),
  /** Where the run saved it too; null when saving is off. */
  path: Schema.NullOr(Schema.String)
}

/** An image of a run. */
export const StoredImage = Schema.Struct({
  /** Position among all images of the request, from 0. */
  index: count,
  seed: Seed,
  subseed: Seed,
  prompt: Schema.String,
  negativePrompt: Schema.String,
  infotext: Schema.String,
  width: count,
  height: count,
  /** False for an image whose sampling was interrupted. */
  complete: Schema.Boolean,
  ...file
})
export type StoredImage = typeof StoredImage.Type

/** A grid, mask or composite of a run. */
export const StoredExtra = Schema.Struct({
  kind: Schema.Literals(["grid", "mask", "mask composite", "before highres fix", "before color correction"]),
  /** Index of the image that it belongs to; null for a grid. */
  index: Schema.NullOr(count),
  infotext: Schema.String,
  ...file
})
export type StoredExtra = typeof StoredExtra.Type

/** The images that came with a request. */
export const SentImages = Schema.Struct({
  init_images: Schema.Array(BlobHash),
  mask: Schema.NullOr(BlobHash),
  /** One entry for each unit of the request. */
  control_units: Schema.Array(Schema.Struct({ image: Schema.NullOr(BlobHash), mask: Schema.NullOr(BlobHash) }))
})
export type SentImages = typeof SentImages.Type

export const noImages: SentImages = { init_images: [], mask: null, control_units: [] }

/** How far an executing run is: `RunProgress` without its images and pixels. */
export const Moment = Schema.Struct({
  activity: Schema.String,
  text: Schema.String,
  passesDone: count,
  passCount: count,
  samplingStep: count,
  samplingSteps: count,
  timeStarted: moment,
  interrupted: Schema.Boolean,
  skipped: Schema.Boolean,
  stopping: Schema.Boolean,
  /** The step of the latest preview. */
  previewStep: Schema.NullOr(Schema.Int)
})
export type Moment = typeof Moment.Type

/** What a worker must have to take a run. */
export const Needs = Schema.Struct({
  /** The model by its name; empty for any. */
  model: Schema.String,
  /** Labels such as `gpu` or `site=eu`. */
  labels: Schema.Array(Schema.String)
})
export type Needs = typeof Needs.Type

export const State = Schema.Literals(["queued", "running", "done", "interrupted", "failed", "cancelled"])
export type State = typeof State.Type

/** What an executing run was asked for. */
export const Wish = Schema.Literals(["interrupt", "skip", "cancel"])
export type Wish = typeof Wish.Type

export const RunRecord = Schema.Struct({
  format: Schema.Literal(format),
  id: Schema.String,
  /** The client's own name for the run. */
  taskId: Schema.NullOr(Schema.String),
  /** Of two submissions with one key, the second is the first. */
  key: Schema.NullOr(Schema.String),
  /** Whose it is: a user, a key or an address. Runs of different clients take turns. */
  client: Schema.String,
  request: AskedRequest,
  sent: SentImages,
  /** Seeds for those that the request leaves to chance: every attempt makes the same images. */
  seeds: Schema.Struct({ seed: Seed, subseed: Seed }),
  /** Settings of the process that accepted the run, which hold wherever it executes. */
  settings: Schema.Record(Schema.String, Schema.Unknown),
  needs: Needs,
  /** The only process that may execute it, because its client waits there; null for any. It ends with that process. */
  bound: Schema.NullOr(Schema.String),
  /** Whether its images are kept after its end. */
  keep: Schema.Boolean,
  /** Runs of a higher priority go first. */
  priority: Schema.Int,
  /** Size of the work, in steps of a million pixels. */
  cost: Schema.Finite,
  /** Place among the queued runs of its priority: the least goes first. */
  place: Schema.Finite,
  state: State,
  submittedAt: moment,
  startedAt: Schema.NullOr(moment),
  endedAt: Schema.NullOr(moment),
  /** How often it has begun. What a worker reports of an earlier attempt is ignored. */
  attempt: count,
  /** How often its worker was lost since it last finished a batch. */
  strikes: count,
  /** The worker that executes it, or did so last. */
  worker: Schema.NullOr(Schema.String),
  wish: Schema.NullOr(Wish),
  progress: Schema.NullOr(Moment),
  images: Schema.Array(StoredImage),
  extras: Schema.Array(StoredExtra),
  warnings: Schema.Array(Schema.String),
  error: Schema.NullOr(RunError),
  starred: Schema.Boolean,
  tags: Schema.Array(Schema.String)
})
export type RunRecord = typeof RunRecord.Type

/** Whether a run has come to its end. */
export const isEnded = ({ state }: Pick<RunRecord, "state">): boolean => state !== "queued" && state !== "running"

/** Every blob that a record names: while it is kept, so are they. */
export const blobsOf = (
  { extras, images, sent }: Pick<RunRecord, "extras" | "images" | "sent">
): ReadonlySet<BlobHash> =>
  new Set([
    ...sent.init_images,
    ...(sent.mask === null ? [] : [sent.mask]),
    ...sent.control_units.flatMap(({ image, mask }) => [image, mask].filter((hash) => hash !== null)),
    ...images.map(({ blob }) => blob),
    ...extras.map(({ blob }) => blob)
  ])

/** Bytes of the files of a run. */
export const sizeOf = ({ extras, images }: Pick<RunRecord, "extras" | "images">): number =>
  [...images, ...extras].reduce((sum, { bytes }) => sum + bytes, 0)
