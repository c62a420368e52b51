/** One of each error, all tags there are: a new error without an example does not compile. */
import { ImageCodecError, SaveError, UnknownUpscaler } from "../../src/images/ImageError.ts"
import {
  InferenceError,
  InvalidModelFile,
  InvalidModelFolder,
  ModelNotFound,
  NetworkLoadError,
  NetworkThreadDied,
  NotEnoughMemory
} from "../../src/model/ModelError.ts"
import { InvalidOptions } from "../../src/processing/InvalidOptions.ts"
import { InvalidProcessing } from "../../src/processing/InvalidProcessing.ts"
import { ClusterError } from "../../src/runner/ClusterError.ts"
import type { ProcessingError } from "../../src/runner/ProcessingError.ts"
import { RemoteServerError } from "../../src/runner/RemoteServerError.ts"
import { UnknownSampler, UnknownScheduler } from "../../src/sampling/SamplingError.ts"

const examples: { readonly [E in ProcessingError as E["_tag"]]: E } = {
  InvalidProcessing: new InvalidProcessing({ problems: [{ path: "steps", message: "Expected an integer" }] }),
  InvalidOptions: new InvalidOptions({ problems: [{ path: "samples_save", message: "Expected boolean" }] }),
  UnknownSampler: new UnknownSampler({ sampler: "Eular", known: ["Euler", "Heun"] }),
  UnknownScheduler: new UnknownScheduler({ scheduler: "Karas", known: ["Karras", "Beta"] }),
  UnknownUpscaler: new UnknownUpscaler({ upscaler: "Lanzos", known: ["Lanczos", "Nearest"] }),
  ModelNotFound: new ModelNotFound({ model: "shape", searched: ["/models"], known: ["shapes-128"] }),
  InvalidModelFile: new InvalidModelFile({
    file: "/models/broken.safetensors",
    problems: [{ path: "out.2.weight", message: "its data ends after the file" }]
  }),
  InvalidModelFolder: new InvalidModelFolder({
    folder: "/models/broken",
    problems: [{ path: "unet/model.onnx", message: "is missing" }]
  }),
  NetworkLoadError: new NetworkLoadError({ file: "unet/model.onnx", reason: "protobuf parsing failed" }),
  InferenceError: new InferenceError({ file: "unet/model.onnx", reason: "out of memory", remedy: "size" }),
  NetworkThreadDied: new NetworkThreadDied({ reason: "exit code 9" }),
  NotEnoughMemory: new NotEnoughMemory({
    model: "shapes-128",
    step: "sampling",
    width: 1024,
    height: 1024,
    needed: 5 * 2 ** 30,
    available: 2 ** 29,
    limit: "max-memory"
  }),
  ImageCodecError: new ImageCodecError({ reason: "no IEND" }),
  SaveError: new SaveError({ path: "/full/1.png", reason: "ENOSPC" }),
  RemoteServerError: new RemoteServerError({
    url: "http://127.0.0.1:7860",
    kind: "unreachable",
    status: null,
    reason: "ECONNREFUSED"
  }),
  ClusterError: new ClusterError({ kind: "lost", reason: "its worker was lost 3 times." })
}

export const everyError: ReadonlyArray<ProcessingError> = Object.values(examples)
