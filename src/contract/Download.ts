/**
 * Downloads of models into the models folder of a server.
 */
import * as Schema from "effect/Schema"

const text = (most: number) => Schema.NonEmptyString.check(Schema.isMaxLength(most))

/** What to download, as `serena models pull` takes it. */
export const DownloadRequest = Schema.Struct({
  /** A repository of the hub (`owner/name`), a file of one (`owner/name/model.safetensors`), or an address. */
  source: text(2000),
  /** A name in place of the server's; of a file with its ending or without. */
  name: Schema.optional(text(200)),
  /** A folder within the models folder, such as `Lora/styles`; by default the one for its kind. */
  folder: Schema.optional(text(500)),
  /** Which copy of the weights of a repository: `fp16`, or `onnx`. */
  variant: Schema.optional(text(50))
}).annotate({ identifier: "DownloadRequest" })
export type DownloadRequest = typeof DownloadRequest.Type

/** Milliseconds since the epoch. */
const milliseconds = Schema.Finite

export const Download = Schema.Struct({
  id: Schema.String,
  /** What was asked for; of an address without its query, which may hold a key. */
  source: Schema.String,
  /** `failed` and `cancelled` ones are continued by a new download of the same source. */
  state: Schema.Literals(["waiting", "running", "done", "failed", "cancelled"]),
  /** The file that arrives, or the file or folder that is there; null until it is known. */
  name: Schema.NullOr(Schema.String),
  /** Bytes that are there, of all files together. */
  received: Schema.Finite,
  /** Of all files together; null where it is not known. */
  size: Schema.NullOr(Schema.Finite),
  started_at: milliseconds,
  ended_at: Schema.NullOr(milliseconds),
  /** What it is: `checkpoint`, `lora` and others; null until it is there. */
  kind: Schema.NullOr(Schema.String),
  /** Whether a checksum was compared. */
  verified: Schema.Boolean,
  /** Why it failed, or why it cannot be used; null for neither. */
  problem: Schema.NullOr(Schema.String)
}).annotate({ identifier: "Download" })
export type Download = typeof Download.Type

/** All downloads since the start of the server, the last hundred ended ones of them. */
export const DownloadList = Schema.Struct({
  /** Why this server downloads nothing for clients; null where it does. */
  refusal: Schema.NullOr(Schema.String),
  /** Most bytes of one download. */
  max_bytes: Schema.Finite,
  /** The newest first. */
  downloads: Schema.Array(Download)
}).annotate({ identifier: "DownloadList" })
export type DownloadList = typeof DownloadList.Type
