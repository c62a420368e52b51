/**
 * Everything that can go wrong with a request, as values.
 *
 * Each error is a `Schema.TaggedError`: it survives the wire, and its message is one sentence that says what happened
 * and what to do about it. `ProcessingError` is their union, the error type of a whole run.
 */
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import { makeFormatterStandardSchemaV1 } from "effect/SchemaIssue"

/** One thing that is wrong with an input: where (`steps`, `override_settings.samples_save`), and what. */
export const Problem = Schema.Struct({ path: Schema.String, message: Schema.String })
export type Problem = typeof Problem.Type

const list = (problems: ReadonlyArray<Problem>): string =>
  problems.map(({ message, path }) => `${path === "" ? "the whole" : path}: ${message}`).join("; ")

const formatIssue = makeFormatterStandardSchemaV1()

/** Every problem a failed decoding found, in the order of the input's keys. */
export const problemsOf = (issue: SchemaIssue.Issue): ReadonlyArray<Problem> =>
  formatIssue(issue).issues.map(({ message, path }) => ({
    path: (path ?? []).map((segment) => String(typeof segment === "object" ? segment.key : segment)).join("."),
    message
  }))

/** The known name closest to a mistyped one (edit distance), or none when nothing is near. */
export const nearest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const wanted = name.slice(0, 80).toLowerCase()
  let best: string | undefined
  let least = Math.max(2, Math.ceil(wanted.length / 2))
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

const editDistance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[b.length] ?? 0
}

const didYouMean = (name: string, known: ReadonlyArray<string>): string => {
  const near = nearest(name, known)
  return `${near === undefined ? "" : `Did you mean "${near}"? `}Known: ${known.join(", ")}.`
}

/** The request itself is not one that can be made: wrong types, missing fields, values out of bounds. */
export class InvalidProcessing extends Schema.TaggedError<InvalidProcessing>()("InvalidProcessing", {
  problems: Schema.Array(Problem)
}) {
  override get message(): string {
    return `The request cannot be processed. Correct ${list(this.problems)}.`
  }
}

/** Options that do not fit: from a file, a flag, or `override_settings`. */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>()("InvalidOptions", {
  problems: Schema.Array(Problem)
}) {
  override get message(): string {
    return `The options cannot be used. Correct ${list(this.problems)}.`
  }
}

export class UnknownSampler extends Schema.TaggedError<UnknownSampler>()("UnknownSampler", {
  sampler: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `No sampler is named "${this.sampler}". ${didYouMean(this.sampler, this.known)} See also "serena samplers".`
  }
}

export class UnknownScheduler extends Schema.TaggedError<UnknownScheduler>()("UnknownScheduler", {
  scheduler: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `No scheduler is named "${this.scheduler}". ${
      didYouMean(this.scheduler, this.known)
    } See also "serena samplers".`
  }
}

/** No upscaler of that name, or one that is not of the kind that is needed there. */
export class UnknownUpscaler extends Schema.TaggedError<UnknownUpscaler>()("UnknownUpscaler", {
  upscaler: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `No upscaler is named "${this.upscaler}". ${didYouMean(this.upscaler, this.known)}`
  }
}

/** No model of that name, or no model at all, in the places that were searched. */
export class ModelNotFound extends Schema.TaggedError<ModelNotFound>()("ModelNotFound", {
  model: Schema.String,
  searched: Schema.Array(Schema.String),
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const places = `Looked in ${this.searched.join(" and ")}.`
    return this.known.length === 0
      ? `${
        this.model === "" ? "No model" : `No model "${this.model}"`
      } was found. ${places} Put a model folder there or name another with --models-dir.`
      : `No model "${this.model}" was found. ${places} ${didYouMean(this.model, this.known)}`
  }
}

/** A model folder whose files are missing, unreadable or not what a Stable Diffusion folder holds. */
export class InvalidModelFolder extends Schema.TaggedError<InvalidModelFolder>()("InvalidModelFolder", {
  folder: Schema.String,
  problems: Schema.Array(Problem)
}) {
  override get message(): string {
    return `The model folder ${this.folder} cannot be used. Export it again or correct ${list(this.problems)}.`
  }
}

/** A network's file that onnxruntime does not load: truncated, corrupt, or of an unsupported version. */
export class NetworkLoadError extends Schema.TaggedError<NetworkLoadError>()("NetworkLoadError", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The network ${this.file} does not load: ${this.reason}. Check that the file is complete, or export it again.`
  }
}

/** A network that loaded but failed while it ran, out of memory for instance. */
export class InferenceError extends Schema.TaggedError<InferenceError>()("InferenceError", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The network ${this.file} failed while running: ${this.reason}. Try a smaller size or batch.`
  }
}

/** The thread that runs the networks ended. The next call starts a new one. */
export class NetworkThreadDied extends Schema.TaggedError<NetworkThreadDied>()("NetworkThreadDied", {
  reason: Schema.String
}) {
  override get message(): string {
    return `The thread that runs the networks ended unexpectedly: ${this.reason}. A new one is started: run the request again.`
  }
}

/** Pixels that could not be written as an image, or bytes that are not one. */
export class ImageCodecError extends Schema.TaggedError<ImageCodecError>()("ImageCodecError", {
  reason: Schema.String
}) {
  override get message(): string {
    return `The image cannot be read or written: ${this.reason}. Check that it is a whole image file.`
  }
}

/** A picture that was made but could not be saved: no permission, a full disk. No partial file is left behind. */
export class SaveError extends Schema.TaggedError<SaveError>()("SaveError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The image was not saved in ${this.path}: ${this.reason}. Free some space there or choose another folder with --outdir.`
  }
}

/** A server that runs in this process's place cannot be asked, refuses, or fails. */
export class RemoteServerError extends Schema.TaggedError<RemoteServerError>()("RemoteServerError", {
  url: Schema.String,
  kind: Schema.Literals(["unreachable", "unauthorized", "refused", "busy", "failed", "unreadable"]),
  /** The HTTP status; null without a reply. */
  status: Schema.NullOr(Schema.Int),
  reason: Schema.String
}) {
  override get message(): string {
    const { kind, reason, status, url } = this
    switch (kind) {
      case "unreachable":
        return `The server at ${url} does not answer: ${reason}. Check the address, and that it runs with its API on.`
      case "unauthorized":
        return `The server at ${url} wants to know who asks (${reason}). Name a user and password that it knows.`
      case "refused":
        return `The server at ${url} does not take the request (${status}): ${reason}. Correct the request.`
      case "busy":
        return `The server at ${url} takes no requests now (${status}): ${reason}. Ask again later.`
      case "failed":
        return `The server at ${url} failed (${status}): ${reason}. Its own log says more.`
      case "unreadable":
        return `The reply of ${url} is not one of stable-diffusion-webui's API: ${reason}. Check the address.`
    }
  }
}

/** Every way a run can fail. */
export const ProcessingError = Schema.Union([
  InvalidProcessing,
  InvalidOptions,
  UnknownSampler,
  UnknownScheduler,
  UnknownUpscaler,
  ModelNotFound,
  InvalidModelFolder,
  NetworkLoadError,
  InferenceError,
  NetworkThreadDied,
  ImageCodecError,
  SaveError,
  RemoteServerError
])
export type ProcessingError = typeof ProcessingError.Type
