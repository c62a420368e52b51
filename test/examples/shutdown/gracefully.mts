// gracefully.mts
import { type Duration, Effect, Fiber } from "effect"
import { Runs } from "serena-runtime"

/**
 * When `effect` is interrupted, asks all runs to end after their current step and save their images. Interrupts `effect` if
 * it is still running after `grace`.
 */
export const gracefully = (grace: Duration.Input) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    const runs = yield* Runs
    const fiber = yield* Effect.forkDetach(restore(effect))
    return yield* Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
      Effect.gen(function*() {
        for (const run of yield* runs.list) yield* run.interrupt
        yield* Effect.timeoutOption(Fiber.await(fiber), grace)
        yield* Fiber.interrupt(fiber)
      }))
  }))
