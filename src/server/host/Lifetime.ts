/**
 * The shutdown of a server: a request for it, and a wait until it is requested.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export class Lifetime extends Context.Service<Lifetime, {
  /** Requests the shutdown. */
  readonly end: Effect.Effect<void>
  /** Waits until the shutdown is requested. */
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
