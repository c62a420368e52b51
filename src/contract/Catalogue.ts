/**
 * The models, samplers and other choices of a server, its status, and the metadata of an image file.
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { ControlUnit } from "../processing/ControlUnit.ts"
import { ImageBytes } from "../processing/ImageBytes.ts"
import { AskedRequest } from "./Run.ts"

export const Model = Schema.Struct({
  /** The value of `override_settings.sd_model_checkpoint`, `refiner_checkpoint` and `hr_checkpoint_name`. */
  name: Schema.String,
  /** `name.safetensors [hash]`, as stable-diffusion-webui shows it. */
  title: Schema.String,
  /** What its file or folder is for. */
  kind: Schema.Literal("checkpoint"),
  /** `sd1`, `sd2`, `sdxl` or `sdxl-refiner`; null where it is not known. */
  family: Schema.NullOr(Schema.String),
  /** `inpainting` or `instruct-pix2pix`: what it reads besides latents; null for nothing, or where it is not known. */
  variant: Schema.NullOr(Schema.String),
  /** Size of its images unless a request asks for another, in pixels; null where it is not known. */
  width: Schema.NullOr(Schema.Int),
  height: Schema.NullOr(Schema.Int),
  /** Name of its file or folder. */
  file: Schema.String,
  /** First 10 hex digits of its SHA-256; null until it is known. */
  hash: Schema.NullOr(Schema.String),
  /** Whether the settings select it. */
  selected: Schema.Boolean,
  /** Whether it is part of the server. */
  embedded: Schema.Boolean
}).annotate({ identifier: "Model" })
export type Model = typeof Model.Type

/** A file of weights in the models folders, or a folder that is one model. */
export const ModelFile = Schema.Struct({
  /** Identifies it for its preview, as long as it stays where it is. */
  id: Schema.String,
  /** The name that requests use: of a model, in `<lora:name:1>`, or of an embedding in a prompt. */
  name: Schema.String,
  /** What a LoRA's tag is written with, by the setting `lora_preferred_name`; null for other kinds. */
  tag: Schema.NullOr(Schema.String),
  /** `checkpoint`, `lora`, `embedding`, `vae`, `controlnet`, `upscaler` and others: what is in it. */
  kind: Schema.String,
  /** `sd1`, `sd2`, `sdxl` or `sdxl-refiner`; null where none or several fit. */
  family: Schema.NullOr(Schema.String),
  /** In bytes. */
  size: Schema.Finite,
  /** First 10 hex digits of its SHA-256; null until it is known. */
  hash: Schema.NullOr(Schema.String),
  /** Whether it is part of the server. */
  embedded: Schema.Boolean,
  /** Words that a LoRA was trained on. */
  trained_words: Schema.Array(Schema.String),
  /** Whether an image such as `name.preview.png` lies next to it. */
  has_preview: Schema.Boolean,
  /** Why it cannot be used; null where it can. */
  problem: Schema.NullOr(Schema.String)
}).annotate({ identifier: "ModelFile" })
export type ModelFile = typeof ModelFile.Type

export const Sampler = Schema.Struct({
  name: Schema.String,
  aliases: Schema.Array(Schema.String),
  /** As stable-diffusion-webui lists them; all values are strings. */
  options: Schema.Record(Schema.String, Schema.String)
}).annotate({ identifier: "Sampler" })
export type Sampler = typeof Sampler.Type

export const Scheduler = Schema.Struct({
  name: Schema.String,
  /** The name shown to people and written into infotexts. */
  label: Schema.String,
  aliases: Schema.Array(Schema.String)
}).annotate({ identifier: "Scheduler" })
export type Scheduler = typeof Scheduler.Type

export const Upscaler = Schema.Struct({
  /** The value of `hr_upscaler`. */
  name: Schema.String,
  /** Whether it enlarges latents, for `hr_upscaler` only, instead of images. */
  latent: Schema.Boolean,
  /** Its native scale factor; null for any factor. */
  scale: Schema.NullOr(Schema.Finite)
}).annotate({ identifier: "Upscaler" })
export type Upscaler = typeof Upscaler.Type

/** A number of a preprocessor: `threshold_a` or `threshold_b` of a unit. */
const Threshold = Schema.Struct({
  label: Schema.String,
  minimum: Schema.Finite,
  maximum: Schema.Finite,
  step: Schema.Finite,
  /** What acts where a unit has none. */
  value: Schema.Finite
}).annotate({ identifier: "Threshold" })

/** What can be made of an image before a ControlNet follows it. */
export const Preprocessor = Schema.Struct({
  /** The value of a unit's `module`. */
  name: Schema.String,
  /** As sd-webui-controlnet shows it. */
  label: Schema.String,
  /** Whether it works at a resolution, `processor_res`, and not on the image as it is. */
  resized: Schema.Boolean,
  threshold_a: Schema.NullOr(Threshold),
  threshold_b: Schema.NullOr(Threshold)
}).annotate({ identifier: "Preprocessor" })
export type Preprocessor = typeof Preprocessor.Type

/** A unit of a request, whose preprocessor is tried on its image. */
export const PreprocessRequest = ControlUnit.mapFields(Struct.assign({
  image: ImageBytes,
  /** The size of the result, which counts for `pixel_perfect`; by default the image's own. */
  width: Schema.optional(Schema.Int),
  height: Schema.optional(Schema.Int)
})).annotate({ identifier: "PreprocessRequest" })
export type PreprocessRequest = typeof PreprocessRequest.Type

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
  /** How many runs wait, and how many execute. */
  queued: Schema.Int,
  running: Schema.Int,
  /** Ids of the executing runs. */
  runs: Schema.Array(Schema.String)
}).annotate({ identifier: "ServerStatus" })
export type ServerStatus = typeof ServerStatus.Type

/** The metadata of an image file. */
export const PngInfo = Schema.Struct({
  /** Null for a file without one. */
  infotext: Schema.NullOr(Schema.String),
  /** Its other text entries by name. */
  items: Schema.Record(Schema.String, Schema.String),
  /** The request that the infotext describes; null without an infotext, or when this server cannot process it. */
  request: Schema.NullOr(AskedRequest),
  /** Why the request cannot be processed, or was not read in full. */
  problems: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}).annotate({ identifier: "PngInfo" })
export type PngInfo = typeof PngInfo.Type
