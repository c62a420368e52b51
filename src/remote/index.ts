/**
 * Runs that happen on another server with stable-diffusion-webui's API.
 */

/** The stages. */
export * as RemotePipeline from "./RemotePipeline.ts"
/** Everything that `processImages` asks for. */
export * as RemoteRuntime from "./RemoteRuntime.ts"
