/**
 * Errors of a pipeline that leaves the images to workers.
 */
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"

/** The workers of a cluster cannot be asked for a run, or did not make it. */
export class ClusterError extends Schema.TaggedError<ClusterError>()("ClusterError", {
  kind: Schema.Literals(["unavailable", "cancelled", "lost"]),
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const { kind, reason } = this
    switch (kind) {
      case "unavailable":
        return `The cluster cannot be used: ${reason} Check its database and the place of its files.`
      case "cancelled":
        return `The run was cancelled in the cluster: ${reason}. Try it again if that was not meant.`
      case "lost":
        return `The cluster did not make the images: ${reason} Check the logs of its workers, and try it again.`
    }
  }
}
