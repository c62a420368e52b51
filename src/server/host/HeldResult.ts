/**
 * How a run ended, and what is held of its result: files and texts, without the request and the pixels.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Struct from "effect/Struct"
import { RunCancelled, type ShuttingDown } from "../../contract/errors.ts"
import type { Processed, ProcessedImage } from "../../runner/Processed.ts"
import type { ProcessingError } from "../../runner/ProcessingError.ts"
import { shownError } from "./shownErrors.ts"

/** How a run that was accepted can fail. */
export type RunFailure = ProcessingError | RunCancelled | ShuttingDown

/** An image of a held result, without its pixels. */
export type HeldImage = Omit<ProcessedImage, "extras" | "pixels">

/** What is held of a result: the files and their texts, without the request and the pixels. */
export interface HeldResult extends Pick<Processed, "extraImages" | "interrupted" | "warnings"> {
  readonly images: ReadonlyArray<HeldImage>
}

/**
 * The outcome of a run for those who wait for it. A run that was interrupted has been cancelled.
 *
 * @param cancelled Why the run was cancelled, if anyone has asked for that.
 */
export const outcomeOf = (
  exit: Exit.Exit<Processed, ProcessingError>,
  cancelled: RunCancelled | ShuttingDown | undefined,
  id: string
): Exit.Exit<Processed, RunFailure> =>
  Exit.isFailure(exit) && (cancelled !== undefined || Cause.hasInterruptsOnly(exit.cause))
    ? Exit.fail(cancelled ?? new RunCancelled({ id }))
    : Exit.mapError(exit, shownError)

/** An outcome without the run's frames: a cause refers to them, and so does an error until its stack is first read. */
export const heldOutcome = (outcome: Exit.Exit<Processed, RunFailure>): Exit.Exit<HeldResult, RunFailure> => {
  if (Exit.isSuccess(outcome)) return Exit.succeed(heldOf(outcome.value))
  settleStacks(Cause.squash(outcome.cause))
  const error = Cause.findErrorOption(outcome.cause)
  return Option.isSome(error) ? Exit.fail(error.value) : Exit.die(Cause.squash(outcome.cause))
}

const settleStacks = (error: unknown): ReadonlyArray<string | undefined> =>
  error instanceof Error ? [error.stack, ...settleStacks(error.cause)] : []

/** An image without its pixels. */
export const heldImage = (image: ProcessedImage): HeldImage => Struct.omit(image, ["extras", "pixels"])

/** A result without its request and its pixels. */
export const heldOf = ({ extraImages, images, interrupted, warnings }: Processed): HeldResult => ({
  images: images.map(heldImage),
  extraImages,
  interrupted,
  warnings
})

/** Bytes that a held result takes in memory: files and texts, with two bytes for a character. */
export const sizeOf = (
  { extraImages, images, warnings }: Pick<HeldResult, "extraImages" | "images" | "warnings">
): number => {
  const sum = (sizes: ReadonlyArray<number>) => sizes.reduce((total, size) => total + size, 0)
  const texts = [
    ...images.flatMap(({ infotext, negativePrompt, prompt }) => [infotext, negativePrompt, prompt]),
    ...extraImages.map(({ infotext }) => infotext),
    ...warnings
  ]
  return sum([...images, ...extraImages].map(({ bytes }) => bytes.length)) + 2 * sum(texts.map(({ length }) => length))
}
