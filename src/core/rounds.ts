/**
 * Work that many ask for at once, and whose result must be no older than the question.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

interface Round<A, E> {
  readonly done: Deferred.Deferred<A, E>
  hasBegun: boolean
}

/**
 * Makes a function that does work for all who ask under a key. Those who ask while it is being done share its next
 * round, which begins when the present one has ended: two rounds answer all who ask at one time, in the order in
 * which they asked. A round goes on when one of them is interrupted, until the scope closes.
 */
export const make = Effect.fnUntraced(function*<A, E>() {
  const scope = yield* Effect.scope
  const latest = new Map<string, Round<A, E>>()

  const begin = (key: string, work: Effect.Effect<A, E>, before: Round<A, E> | undefined) => {
    const round: Round<A, E> = { done: Deferred.makeUnsafe(), hasBegun: false }
    latest.set(key, round)
    const turn = before === undefined ? Effect.void : Effect.exit(Deferred.await(before.done))
    const doing = Effect.suspend(() => {
      round.hasBegun = true
      return work
    })
    const all = Effect.onExit(Effect.andThen(turn, doing), (exit) => {
      if (latest.get(key) === round) latest.delete(key)
      return Deferred.done(round.done, exit)
    })
    return Effect.as(Effect.forkIn(all, scope, { startImmediately: true }), round)
  }

  return (key: string, work: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const last = latest.get(key)
        return last !== undefined && !last.hasBegun
          ? Effect.succeed(last)
          : scope.state._tag === "Closed"
          ? Effect.interrupt
          : begin(key, work, last)
      }).pipe(Effect.flatMap(({ done }) => restore(Deferred.await(done))))
    )
})
