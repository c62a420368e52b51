/**
 * The engine's parts, for those who build on them: samplers, schedules and noise for a denoiser of your own.
 */

/** Latents to pixels. */
export * as Latents from "./latents.ts"
/** The stages of image generation. */
export * as DiffusionPipeline from "./DiffusionPipeline.ts"
/** A model as samplers see it. */
export * as GuidedDenoiser from "./GuidedDenoiser.ts"
/** The prompt language: from a request's text to the texts of each step. */
export * as Prompt from "../prompt/Prompt.ts"
/** When which text of a prompt holds. */
export * as PromptSchedule from "../prompt/PromptSchedule.ts"
/** Texts as chunks of tokens with weights. */
export * as Encoding from "../prompt/Encoding.ts"
/** What weights do to embeddings. */
export * as Emphasis from "../prompt/Emphasis.ts"
/** Prompts kept under a name. */
export * as Styles from "../prompt/Styles.ts"
/** The noise of a batch of images. */
export * as ImageNoise from "../rng/ImageNoise.ts"
/** Generators of normal random numbers. */
export * as RandomGenerator from "../rng/RandomGenerator.ts"
/** What is done to predictions and embeddings around the network. */
export * as Guidance from "../sampling/Guidance.ts"
/** The noise levels that a model was trained on. */
export * as NoiseSchedule from "../sampling/NoiseSchedule.ts"
/** From what a network puts out to the latents without noise. */
export * as Prediction from "../sampling/Prediction.ts"
/** Noise that belongs to intervals of the noise level. */
export * as Brownian from "../sampling/Brownian.ts"
/** Every sampler by name, and the function that runs them. */
export * as Samplers from "../sampling/Samplers.ts"
/** Every schedule by name. */
export * as Schedules from "../sampling/Schedules.ts"
