/**
 * The end of a server: who waits for it, who asks for it.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export class Lifetime extends Context.Service<Lifetime, {
  /** Asks the server to end. */
  readonly end: Effect.Effect<void>
  /** Waits until somebody does. */
  readonly ended: Effect.Effect<void>
}>()("serena/server/host/Lifetime") {
  static readonly layer: Layer.Layer<Lifetime> = Layer.effect(
    Lifetime,
    Effect.map(
      Deferred.make<void>(),
      (wish) => Lifetime.of({ end: Effect.asVoid(Deferred.succeed(wish, undefined)), ended: Deferred.await(wish) })
    )
  )
}
