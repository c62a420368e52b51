/**
 * Layers for your own tests: the real engine without a model, a native module or a file.
 */

/** Stages that fail, die, hang or run slowly. */
export * as Faults from "./Faults.ts"
/** Models whose networks fail, die, hang or run slowly. */
export * as ModelFaults from "./ModelFaults.ts"
/** A PNG encoder without a native package. */
export * as PlainEncoder from "./PlainEncoder.ts"
/** Hooks that record every call. */
export { type Call, RecordingHooks } from "./RecordingHooks.ts"
/** An image store in memory. */
export { SavedImages } from "./SavedImages.ts"
/** Run contexts with replaceable parts. */
export * as TestContext from "./TestContext.ts"
/** A model that is plain arithmetic. */
export * as TestModel from "./TestModel.ts"
/** Pipelines from the stages a test supplies. */
export * as TestPipeline from "./TestPipeline.ts"
/** Everything that `processImages` requires. */
export * as TestRuntime from "./TestRuntime.ts"
