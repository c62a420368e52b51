/**
 * The turn of a run at the networks, where several runs share them.
 *
 * What executes several runs provides one for each, and a pipeline whose networks run in this process says with it how
 * far the run is: then one run is prepared, and another one's images are written, while a third one has the
 * networks. A run without one has them to itself, and so does a run whose pipeline says nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

export interface NetworkTurn {
  /** Waits until the run has its turn; before the first call of a network. */
  readonly begin: Effect.Effect<void>
  /** All images are sampled: what is left is to decode the last one. */
  readonly ending: Effect.Effect<void>
  /** The run calls no network any more, and holds no memory for calls. */
  readonly end: Effect.Effect<void>
}

/** The turn of the run that the fiber works on; by default one that waits for no other. */
export const NetworkTurn = Context.Reference<NetworkTurn>("serena/runner/NetworkTurn", {
  defaultValue: () => ({ begin: Effect.void, ending: Effect.void, end: Effect.void })
})
