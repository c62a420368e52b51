/**
 * Errors of finding, opening and running models.
 */
import * as Schema from "effect/Schema"
import { listed, Problem, sentence } from "../core/Problem.ts"
import { readableError } from "../core/readableError.ts"
import { didYouMean } from "../core/Text.ts"

/** No model of that name, or no model at all, in the places that were searched. */
export class ModelNotFound extends Schema.TaggedError<ModelNotFound>()("ModelNotFound", {
  model: Schema.String,
  /** What was looked for, if not a model: `VAE`. */
  what: Schema.optionalKey(Schema.String),
  searched: Schema.Array(Schema.String),
  known: Schema.Array(Schema.String),
  /** Why the models folder cannot be searched, as a clause: `there is no folder /models`. */
  folderProblem: Schema.optionalKey(Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const kind = this.what ?? "model"
    const what = this.model === "" ? `No ${kind}` : `No ${kind} "${this.model}"`
    if (this.folderProblem !== undefined) {
      return `${what} was found: ${this.folderProblem}. Name another with --models-dir, or modelsDir in a program.`
    }
    const where = `${what} was found. Looked in ${this.searched.join(" and ")}.`
    const remedy = `Put a ${this.what ?? "model folder"} there or name another with --models-dir.`
    if (this.known.length === 0) return `${where} ${remedy}`
    return this.model === ""
      ? `${where} ${remedy} To use ${this.known.join(" or ")} instead, name it with --model.`
      : `${where} ${didYouMean(this.model, this.known)}`
  }
}

/** A model folder whose files are missing, unreadable or not what a Stable Diffusion folder holds. */
export class InvalidModelFolder extends Schema.TaggedError<InvalidModelFolder>()("InvalidModelFolder", {
  folder: Schema.String,
  problems: Schema.Array(Problem)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return this.problems.every(({ path }) => path === "")
      ? `The model folder ${this.folder} cannot be used: ${listed(this.problems)}. Check --models-dir and --model.`
      : `The model folder ${this.folder} cannot be used. Export it again or correct ${listed(this.problems)}.`
  }
}

/**
 * A file of weights, or a folder of such files, that cannot be used: damaged, of another format, changed since it was
 * opened, or not what was asked for. The path of a problem is the name of a tensor, or empty.
 */
export class InvalidModelFile extends Schema.TaggedError<InvalidModelFile>()("InvalidModelFile", {
  file: Schema.String,
  problems: Schema.Array(Problem),
  /** A sentence on what to do, where it is not to get the file anew. */
  remedy: Schema.optionalKey(Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The model file ${this.file} cannot be used: ${sentence(listed(this.problems))} ${
      this.remedy ?? "Check the file with serena models verify, or download it again."
    }`
  }
}

/**
 * A network's file that onnxruntime does not load: truncated, corrupt, or of an unsupported version. With a `device`
 * the file is whole, and the device does not take it.
 */
export class NetworkLoadError extends Schema.TaggedError<NetworkLoadError>()("NetworkLoadError", {
  file: Schema.String,
  reason: Schema.String,
  /** The device that failed; the processor loads the file. */
  device: Schema.optionalKey(Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return this.device === undefined
      ? `The network ${this.file} does not load: ${this.reason}. Check that the file is complete, or export it again.`
      : `The network ${this.file} does not load on the device ${this.device}: ${this.reason}. Check the driver of ` +
        "the device, or use the device cpu, on which it loads."
  }
}

const inferenceAdvice = {
  "size": "Try a smaller size or batch",
  "place": "Run the request on that server"
}

/** A network that loaded but failed while it ran, out of memory for instance. */
export class InferenceError extends Schema.TaggedError<InferenceError>()("InferenceError", {
  file: Schema.String,
  reason: Schema.String,
  /** What to change: the size, because memory ran out; or the place, because the network runs on another server. */
  remedy: Schema.optionalKey(Schema.Literals(["size", "place"]))
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const advice = this.remedy === undefined
      ? "Use another model, or check that this one's files belong together"
      : inferenceAdvice[this.remedy]
    return `The network ${this.file} failed while running: ${this.reason}. ${advice}.`
  }
}

const remedies = {
  "machine": "end other programs or use a machine with more memory",
  "container": "raise the memory limit of the container or service",
  "address space": "raise the limit on the address space (ulimit -v)",
  "max-memory": "raise --max-memory"
}

const inTiles = {
  "sampling": "sample it in tiles (latent_tile_size)",
  "decoding": "let the VAE work in smaller tiles (vae_tile_threshold)",
  "encoding": "let the VAE work in smaller tiles (vae_tile_threshold)",
  "upscaling": "let the upscaler work in smaller tiles (ESRGAN_tile)"
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1)} GiB`

/** A run whose networks need more memory than there is. Nothing of it was computed. */
export class NotEnoughMemory extends Schema.TaggedError<NotEnoughMemory>()("NotEnoughMemory", {
  model: Schema.String,
  step: Schema.Literals(["sampling", "decoding", "encoding", "upscaling"]),
  /** Size in pixels of what would go through the network at once: one image, or a tile. */
  width: Schema.Int,
  height: Schema.Int,
  /** Bytes that one image of a batch takes at least. */
  needed: Schema.Int,
  available: Schema.Int,
  /** What sets `available`, see `MemoryLimit`. */
  limit: Schema.Literals(["machine", "container", "address space", "max-memory"]),
  /** Whether `needed` is the least, as the network's graph does not say: a smaller call took as much in proportion. */
  isLeast: Schema.optional(Schema.Boolean),
  /** Bytes that the run's finished images hold until it ends, in addition to `needed`. */
  images: Schema.optional(Schema.Int)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const what = `${this.step} ${this.width}x${this.height} pixels with ${this.model}`
    const tiles = inTiles[this.step]
    const needed = `needs ${this.isLeast === true ? "at least " : ""}${gibibytes(this.needed)}`
    const areTooMany = this.images !== undefined && this.needed <= this.available
    const images = areTooMany ? `, its images ${gibibytes(this.images ?? 0)}` : ""
    const fewer = areTooMany ? "fewer images, " : ""
    const available = `${gibibytes(this.available)} is available`
    return `The run does not fit in memory: ${what} ${needed}${images}, and ${available}. Try ${fewer}a smaller size, ` +
      `${tiles}, or ${remedies[this.limit]}.`
  }
}

/** The thread that runs the networks ended. The next call starts a new one. */
export class NetworkThreadDied extends Schema.TaggedError<NetworkThreadDied>()("NetworkThreadDied", {
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The thread that runs the networks ended unexpectedly: ${this.reason}. A new one is started: run the request again.`
  }
}

/** Everything that can go wrong when a network is used. */
export type NetworkError =
  | NetworkLoadError
  | NetworkThreadDied
  | InferenceError
  | InvalidModelFile
  | InvalidModelFolder
  | NotEnoughMemory
