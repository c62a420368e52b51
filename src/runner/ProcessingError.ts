/**
 * Every way a run can fail, as one union.
 *
 * Each error is a `Schema.TaggedError` defined next to its owner. It survives the wire, and its message says what
 * happened and what to do about it. A defect is a bug in Serena or in a hook.
 */
import * as Schema from "effect/Schema"
import { ImageCodecError, SaveError, UnknownUpscaler } from "../images/ImageError.ts"
import {
  InferenceError,
  InvalidModelFile,
  InvalidModelFolder,
  ModelNotFound,
  NetworkLoadError,
  NetworkThreadDied,
  NotEnoughMemory
} from "../model/ModelError.ts"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { UnknownSampler, UnknownScheduler } from "../sampling/SamplingError.ts"
import { ClusterError } from "./ClusterError.ts"
import { RemoteServerError } from "./RemoteServerError.ts"

export {
  ClusterError,
  ImageCodecError,
  InferenceError,
  InvalidModelFile,
  InvalidModelFolder,
  InvalidOptions,
  InvalidProcessing,
  ModelNotFound,
  NetworkLoadError,
  NetworkThreadDied,
  NotEnoughMemory,
  RemoteServerError,
  SaveError,
  UnknownSampler,
  UnknownScheduler,
  UnknownUpscaler
}

/** Every way a run can fail. */
export const ProcessingError = Schema.Union([
  InvalidProcessing,
  InvalidOptions,
  UnknownSampler,
  UnknownScheduler,
  UnknownUpscaler,
  ModelNotFound,
  InvalidModelFile,
  InvalidModelFolder,
  NetworkLoadError,
  InferenceError,
  NetworkThreadDied,
  NotEnoughMemory,
  ImageCodecError,
  SaveError,
  RemoteServerError,
  ClusterError
])
export type ProcessingError = typeof ProcessingError.Type
