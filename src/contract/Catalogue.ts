/**
 * What a server has to choose from, and what it tells of itself and of pictures.
 */
import * as Schema from "effect/Schema"
import { AskedRequest } from "./Run.ts"

export const Model = Schema.Struct({
  /** What `override_settings.sd_model_checkpoint`, `refiner_checkpoint` and `hr_checkpoint_name` take. */
  name: Schema.String,
  /** `name [hash]`, as stable-diffusion-webui shows it. */
  title: Schema.String,
  /** First 10 hex digits of its SHA-256; null until it is known. */
  hash: Schema.NullOr(Schema.String),
  /** Whether the settings name it. */
  selected: Schema.Boolean,
  /** Whether it came with the server. */
  embedded: Schema.Boolean
}).annotate({ identifier: "Model" })
export type Model = typeof Model.Type

export const Sampler = Schema.Struct({
  name: Schema.String,
  aliases: Schema.Array(Schema.String),
  /** As stable-diffusion-webui lists them; all values are text. */
  options: Schema.Record(Schema.String, Schema.String)
}).annotate({ identifier: "Sampler" })
export type Sampler = typeof Sampler.Type

export const Scheduler = Schema.Struct({
  name: Schema.String,
  /** What is shown, and written into infotexts. */
  label: Schema.String,
  aliases: Schema.Array(Schema.String)
}).annotate({ identifier: "Scheduler" })
export type Scheduler = typeof Scheduler.Type

export const Upscaler = Schema.Struct({
  /** What `hr_upscaler` takes. */
  name: Schema.String,
  /** Whether it enlarges latents, which is only for `hr_upscaler`; else pictures. */
  latent: Schema.Boolean,
  /** How much larger it makes pictures by itself; null for any factor. */
  scale: Schema.NullOr(Schema.Finite)
}).annotate({ identifier: "Upscaler" })
export type Upscaler = typeof Upscaler.Type

export const Style = Schema.Struct({
  name: Schema.String,
  prompt: Schema.String,
  negative_prompt: Schema.String
}).annotate({ identifier: "Style" })
export type Style = typeof Style.Type

export const ServerStatus = Schema.Struct({
  version: Schema.String,
  /** False while the server is shutting down. */
  accepting: Schema.Boolean,
  /** How many runs wait, and how many run. */
  queued: Schema.Int,
  running: Schema.Int,
  /** Ids of those that run. */
  runs: Schema.Array(Schema.String)
}).annotate({ identifier: "ServerStatus" })
export type ServerStatus = typeof ServerStatus.Type

/** What a picture's file tells. */
export const PngInfo = Schema.Struct({
  /** Null when it has none. */
  infotext: Schema.NullOr(Schema.String),
  /** Its other texts, by their names. */
  items: Schema.Record(Schema.String, Schema.String),
  /** The request that the infotext stands for; null without one, or when it cannot be made here. */
  request: Schema.NullOr(AskedRequest),
  /** Why it cannot be made here, or was not read in full. */
  problems: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}).annotate({ identifier: "PngInfo" })
export type PngInfo = typeof PngInfo.Type
