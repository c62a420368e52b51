/**
 * Builds a network's graph, and says of a file what does not fit.
 */
import * as Effect from "effect/Effect"
import { InvalidModelFile } from "../model/ModelError.ts"
import { UnfitNetwork } from "./graph/UnfitNetwork.ts"

/** What `build` makes. Fails with the tensor of `file` that no network has at its place, found before anything runs. */
export const fitting = <A>(file: string, build: () => A): Effect.Effect<A, InvalidModelFile> =>
  Effect.try({
    try: build,
    catch: (error) => {
      if (!(error instanceof UnfitNetwork)) throw error
      const near = error.near.length === 0 ? "" : `; it is most like ${error.near.join(" or ")}`
      return new InvalidModelFile({ file, problems: [{ path: error.tensor, message: `${error.reason}${near}` }] })
    }
  })
