/**
 * Serena from outside: a typed client of its server, for browsers and programs.
 */

/** The client. */
export * as Client from "./Client.ts"
/** What can go wrong on the way. */
export { ConnectionError, UnexpectedReply } from "./errors.ts"
/** What can go wrong with a run. */
export { Problem } from "../core/Problem.ts"
export * from "../runner/ProcessingError.ts"
/** What can go wrong between a client and the server. */
export {
  ImageNotFound,
  InternalError,
  InvalidRequest,
  QueueFull,
  RunCancelled,
  RunNotFound,
  ShuttingDown,
  TooLarge,
  Unauthorized
} from "../contract/errors.ts"
/** What to make. */
export { Img2Img, Txt2Img } from "../processing/Processing.ts"
/** Runs, what becomes of them, and the events that tell of it. */
export {
  Done,
  isLast,
  Preview,
  Progress,
  Run,
  RunEvent,
  RunExtra,
  RunImage,
  RunList,
  RunRequest,
  RunStatus
} from "../contract/Run.ts"
/** What there is to choose from. */
export { Model, PngInfo, Sampler, Scheduler, ServerStatus, Style, Upscaler } from "../contract/Catalogue.ts"
/** The contract itself. */
export { Api } from "../contract/Api.ts"
