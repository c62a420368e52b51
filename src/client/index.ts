/**
 * A typed client of Serena's server, for browsers and programs.
 */

/** The client. */
export * as Client from "./Client.ts"
/** Errors of the connection. */
export { ConnectionError, UnexpectedReply } from "./errors.ts"
/** Errors of a run. */
export { Problem } from "../core/Problem.ts"
export * from "../runner/ProcessingError.ts"
/** Errors of the API. */
export {
  DownloadNotFound,
  DownloadsRefused,
  ForeignOrigin,
  ImageNotFound,
  InternalError,
  InvalidRequest,
  NotSaved,
  QueueFull,
  RunCancelled,
  RunNotFound,
  RunsUnavailable,
  ShuttingDown,
  TooLarge,
  TooManyDownloads,
  Unauthorized,
  UnknownHost
} from "../contract/errors.ts"
/** Requests. */
export { Img2Img, Txt2Img } from "../processing/Processing.ts"
/** Runs, their results and their events. */
export {
  Done,
  isLast,
  Preview,
  Progress,
  QueueStatus,
  QueueWorker,
  Run,
  RunEvent,
  RunExtra,
  RunImage,
  RunList,
  RunPatch,
  RunRequest,
  RunStatus
} from "../contract/Run.ts"
/** Models, samplers and the other choices. */
export {
  Model,
  PngInfo,
  Preprocessor,
  PreprocessRequest,
  Sampler,
  Scheduler,
  ServerStatus,
  Style,
  Upscaler
} from "../contract/Catalogue.ts"
/** What helps to write a prompt. */
export {
  Preset,
  SavedStyle,
  Suggestion,
  Suggestions,
  TokenCount,
  TokenCounts,
  TokenRequest
} from "../contract/Prompts.ts"
/** Downloads of models. */
export { Download, DownloadList, DownloadRequest } from "../contract/Download.ts"
/** The contract itself. */
export { Api } from "../contract/Api.ts"
