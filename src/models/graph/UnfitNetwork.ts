import * as Schema from "effect/Schema"
import { readableError } from "../../core/readableError.ts"

/**
 * Tensors that do not make the network that was asked for: one is missing, has another shape or element type than its
 * layer expects, or has no place in the network. Found while the graph is built, before anything is read or run.
 */
export class UnfitNetwork extends Schema.TaggedError<UnfitNetwork>()("UnfitNetwork", {
  /** The file, where one is known. */
  file: Schema.String,
  /** The tensor by its name in the file, or the layer by its name in the network. */
  tensor: Schema.String,
  /** What it is and what was expected. */
  reason: Schema.String,
  /** The kinds of network that the tensors resemble most. */
  near: Schema.Array(Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const near = this.near.length === 0 ? "" : ` It is most like ${this.near.join(" or ")}.`
    const file = this.file === "" ? "The network" : `The network in ${this.file}`
    return `${file} cannot be built: ${this.tensor} ${this.reason}.${near} ` +
      "Use a file of a supported network, or download it again if it is damaged."
  }
}
