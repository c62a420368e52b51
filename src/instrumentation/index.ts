/**
 * Hook sets, each switched on by one line.
 */

/** Ways to end a run early. */
export * as Cancellation from "./Cancellation.ts"
/** Counts and durations of runs. */
export * as Metrics from "./Metrics.ts"
/** How far a run is, for people. */
export * as Progress from "./Progress.ts"
/** One trace for each run. */
export * as Tracing from "./Tracing.ts"
