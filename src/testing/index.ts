/**
 * Layers to put under your own tests: no native module is loaded and no model is needed.
 */

/** Stages that fail, die, hang or take their time. */
export * as Faults from "./Faults.ts"
/** Hooks that write down every call. */
export { type Call, RecordingHooks } from "./RecordingHooks.ts"
/** Contexts of runs, with every part replaceable. */
export * as TestContext from "./TestContext.ts"
/** A model that is arithmetic instead of networks. */
export * as TestModel from "./TestModel.ts"
/** Pipelines from the stages that matter to a test. */
export * as TestPipeline from "./TestPipeline.ts"
/** Everything that `processImages` asks for. */
export * as TestRuntime from "./TestRuntime.ts"
