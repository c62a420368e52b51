/**
 * Values that several users share: models of a process, and networks of a model with adapters.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

// One value of a key, with the number of its users.
interface Shared<A, E> {
  readonly made: Deferred.Deferred<A, E>
  /** Releases it; undefined until it is made. */
  close: Effect.Effect<void> | undefined
  users: number
}

/**
 * Values made once for each key and shared by the scopes that ask for them, and kept when none does: at most `most` of
 * them in all, of which those that were used least lately go first. What could not be made is not kept.
 */
export const make = Effect.fnUntraced(function*<A, E>(most: number) {
  const all = yield* Effect.scope
  // In the order of their last use.
  const values = new Map<string, Shared<A, E>>()

  const isCurrent = (key: string, value: Shared<A, E>) => values.get(key) === value

  // In a fiber of its own: interrupting the first caller does not affect the others.
  const begin = (key: string, value: Shared<A, E>, make: Effect.Effect<A, E, Scope.Scope>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = yield* Scope.fork(all)
        const exit = yield* Effect.exit(restore(Scope.provide(make, scope)))
        if (Exit.isSuccess(exit)) {
          value.close = Scope.close(scope, Exit.void)
        } else {
          if (isCurrent(key, value)) values.delete(key)
          yield* Scope.close(scope, exit)
        }
        yield* Deferred.done(value.made, exit)
        yield* trim(most)
      })
    ).pipe(Effect.forkIn(all))

  // Removed before they are closed, so that a request in between gets a new one.
  const trim = (most: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const closing: Array<Effect.Effect<void>> = []
      for (const [key, { close, users }] of values) {
        if (values.size <= most) break
        if (users > 0 || close === undefined) continue
        values.delete(key)
        closing.push(close)
      }
      return Effect.uninterruptible(Effect.all(closing, { discard: true }))
    })

  const change = (key: string, value: Shared<A, E>, users: number) => {
    value.users += users
    if (!isCurrent(key, value)) return
    values.delete(key)
    values.set(key, value)
  }

  const take = (key: string, make: Effect.Effect<A, E, Scope.Scope>) =>
    Effect.suspend(() => {
      if (all.state._tag === "Closed") return Effect.interrupt
      const found = values.get(key)
      const value = found ?? { made: Deferred.makeUnsafe<A, E>(), close: undefined, users: 0 }
      values.set(key, value)
      change(key, value, 1)
      return found === undefined ? Effect.as(begin(key, value, make), value) : Effect.succeed(value)
    })

  /** The value of a key, for as long as the scope. `make` makes it where it is not there; it is closed with its own. */
  const get = (key: string, make: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
    Effect.acquireRelease(
      take(key, make),
      (value) =>
        Effect.suspend(() => {
          change(key, value, -1)
          return trim(most)
        })
    ).pipe(Effect.flatMap(({ made }) => Deferred.await(made)))

  /** A value that is there, as `get` gives it; else one of the scope's own, which is not kept. */
  const borrow = (key: string, make: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
    Effect.suspend(() => values.has(key) ? get(key, make) : make)

  return {
    get,
    borrow,
    trim,
    keys: Effect.sync(() => [...values].flatMap(([key, { close }]) => close === undefined ? [] : [key]).toReversed())
  }
})
