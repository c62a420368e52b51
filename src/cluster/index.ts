/**
 * Runs whose images are made by workers that share a database.
 */

/** The stages. */
export * as ClusterPipeline from "./ClusterPipeline.ts"
/** Everything that `processImages` asks for. */
export * as ClusterRuntime from "./ClusterRuntime.ts"
