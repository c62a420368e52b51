/**
 * Ready-made hook sets, each enabled with one line.
 */

/** Ends runs early. */
export * as Cancellation from "./Cancellation.ts"
/** Counts and times runs. */
export * as Metrics from "./Metrics.ts"
/** Shows a progress bar. */
export * as Progress from "./Progress.ts"
/** Traces each run. */
export * as Tracing from "./Tracing.ts"
