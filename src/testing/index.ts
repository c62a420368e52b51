/**
 * Layers to put under your own tests: the real engine, without a model, a native module or a file.
 */

/** Stages that fail, die, hang or take their time. */
export * as Faults from "./Faults.ts"
/** Models whose networks fail, die, hang or take their time. */
export * as ModelFaults from "./ModelFaults.ts"
/** PNG files without a native package. */
export * as PlainEncoder from "./PlainEncoder.ts"
/** Hooks that write down every call. */
export { type Call, RecordingHooks } from "./RecordingHooks.ts"
/** Pictures that are saved in memory. */
export { SavedImages } from "./SavedImages.ts"
/** Contexts of runs, with every part replaceable. */
export * as TestContext from "./TestContext.ts"
/** A model that is arithmetic instead of networks. */
export * as TestModel from "./TestModel.ts"
/** Pipelines from the stages that matter to a test. */
export * as TestPipeline from "./TestPipeline.ts"
/** Everything that `processImages` asks for. */
export * as TestRuntime from "./TestRuntime.ts"
