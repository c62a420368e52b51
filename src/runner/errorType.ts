/**
 * OpenTelemetry's `error.type` for traces and metrics.
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/** The tag of an error or the class name of a defect; `undefined` for an interruption. */
export const errorType = (cause: Cause.Cause<unknown>): string | undefined => {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const error = Option.getOrElse(Cause.findErrorOption(cause), () => Cause.squash(cause))
  if (Predicate.hasProperty(error, "_tag") && typeof error._tag === "string") return error._tag
  return error instanceof Error ? error.name : "_OTHER"
}
