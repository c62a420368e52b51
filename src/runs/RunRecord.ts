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

const ImageFacts = {
  /** Position among all images of the request, from 0. */
  index: count,
  seed: Seed,
  subseed: Seed,
  prompt: Schema.String,
  negativePrompt: Schema.String,
  infotext: Schema.String
}

/** An image of a run. */
export const StoredImage = Schema.Struct({
  ...ImageFacts,
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

/** What the ControlNet of a unit followed, in the size of the last pass. */
export const StoredMap = Schema.Struct({
  /** Place of its unit in the request. */
  unit: count,
  ...file
})
export type StoredMap = typeof StoredMap.Type

const NullableText = Schema.NullOr(Schema.String)

/** What the plan of a run has settled, for clients that are shown it. */
export const PlanFacts = Schema.Struct({
  width: count,
  height: count,
  /** The sampler's name. */
  sampler: Schema.String,
  clipSkip: count,
  model: Schema.Struct({
    name: Schema.String,
    hash: NullableText,
    vae: Schema.NullOr(Schema.Struct({ name: NullableText, hash: NullableText })),
    isInpainting: Schema.Boolean
  }),
  startedAt: moment,
  /** Images that were planned and not made. */
  unmade: Schema.Array(Schema.Struct(ImageFacts))
})
export type PlanFacts = typeof PlanFacts.Type

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
  /** Whether its images are kept after its end; else until its client, who waits at some process, has them. */
  keep: Schema.Boolean,
  /** Whether what its ControlNets followed is part of its result. */
  withMaps: Schema.Boolean,
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
  maps: Schema.Array(StoredMap),
  /** Known when it is done. */
  plan: Schema.NullOr(PlanFacts),
  warnings: Schema.Array(Schema.String),
  error: Schema.NullOr(RunError),
  starred: Schema.Boolean,
  tags: Schema.Array(Schema.String)
})
export type RunRecord = typeof RunRecord.Type

/** Whether a run has come to its end. */
export const isEnded = ({ state }: Pick<RunRecord, "state">): boolean => state !== "queued" && state !== "running"

/**
 * Whether the files of a run may be lost with the process that it is bound to, and its record with the machine's power:
 * its client waits at that process, and others never look for them.
 */
export const isFleeting = ({ bound, keep }: Pick<RunRecord, "bound" | "keep">): boolean => !keep && bound !== null

/** Every blob that a record names: while it is kept, so are they. */
export const blobsOf = (
  { extras, images, maps, sent }: Pick<RunRecord, "extras" | "images" | "maps" | "sent">
): ReadonlySet<BlobHash> =>
  new Set([
    ...sent.init_images,
    ...(sent.mask === null ? [] : [sent.mask]),
    ...sent.control_units.flatMap(({ image, mask }) => [image, mask].filter((hash) => hash !== null)),
    ...images.map(({ blob }) => blob),
    ...extras.map(({ blob }) => blob),
    ...maps.map(({ blob }) => blob)
  ])

/** Bytes of the files of a run. */
export const sizeOf = ({ extras, images, maps }: Pick<RunRecord, "extras" | "images" | "maps">): number =>
  [...images, ...extras, ...maps].reduce((sum, { bytes }) => sum + bytes, 0)
