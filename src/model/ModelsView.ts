/**
 * One look at the models folders, for all that belongs together: a run sees the files that were there when it began,
 * and the folders are searched once for it. What is done without a view searches them at each use.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Stands for the look of the run that the fiber works on: what it found is kept as long as this object is. */
export const ModelsView = Context.Reference<object | undefined>("serena/model/ModelsView", {
  defaultValue: () => undefined
})

/** Gives an effect a view of its own. */
export const withView = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(effect, ModelsView, {}))
