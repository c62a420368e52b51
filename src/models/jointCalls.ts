/**
 * Calls of a network that several runs make as one.
 *
 * A network computes the rows of one large call in less time than those of several small ones, as far as they do not
 * keep all cores busy. So runs whose calls differ in nothing but their rows meet before each: a call waits for those of
 * the others, but no longer than half of what the latest one took, and not for a run that came late before, for more
 * calls each time. What calls take alone and together is measured here, and they stay apart where that is faster.
 *
 * The rows of a joint call are computed as those of a larger batch are: numbers may differ in their last digits.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { SharedTensor } from "./networkProtocol.ts"

/** A call that may be made together with others, of `rows` rows. */
export interface JointCall {
  /** The number that its thread knows it by. */
  readonly call: number
  readonly rows: number
  /** Most calls, with this one, that it may be made together with. */
  readonly most: number
  /** What must be the same in the calls of a joint one: numbers of inputs that have no rows. */
  readonly same: ReadonlyArray<SharedTensor["data"]>
}

export interface MeetingOptions<E> {
  /** Makes one call, and gives the milliseconds that it took in its turn. */
  readonly alone: (call: number) => Effect.Effect<number, E>
  /** Makes several as one, likewise; undefined where there is no memory for it. */
  readonly together: (calls: ReadonlyArray<number>) => Effect.Effect<number | undefined, E>
  /** Where joint calls are made: they go on when the run that came last is interrupted. */
  readonly scope: Scope.Scope
}

/** Where calls meet that differ in nothing but their rows. */
export interface Meeting<E> {
  /** Has a call take part until the scope closes. The effect makes the call, alone or with others. */
  readonly join: (call: JointCall) => Effect.Effect<Effect.Effect<void, E>, never, Scope.Scope>
  /** How many calls take part. */
  readonly size: () => number
}

interface Guest<E> {
  readonly call: JointCall
  /** Whether the others do not wait for it: it came late before, or never came yet. */
  isLate: boolean
  /** Calls until it is waited for again, and how many that are the next time that it is late. */
  excused: number
  excuse: number
  /** What it waits for. */
  done: Deferred.Deferred<void, E> | undefined
}

/** Calls of a size that are measured before it is known what they take: the first ones take memory, and longer. */
const tries = 6

/** Milliseconds for which a call is waited for at least. */
const shortestWait = 2

/** Latest calls of a size whose times are compared: the shortest counts, as neighbours only make them longer. */
const remembered = 8

/** Most calls for which one that comes late again and again is not waited for. */
const longestExcuse = 32

/** Joint calls that were not made because they took longer, until they are tried again. */
const retriedAfter = 100

export const make = <E>({ alone, scope, together }: MeetingOptions<E>): Meeting<E> => {
  const guests = new Set<Guest<E>>()
  // In the order in which they came.
  const waiting = new Set<Guest<E>>()
  // Milliseconds of the latest calls, by their rows.
  const measured = { alone: new Map<number, Array<number>>(), together: new Map<string, Array<number>>() }
  let notMade = 0
  let calling = 0
  let latest = 0
  let timer: Fiber.Fiber<void> | undefined

  const note = <K>(table: Map<K, Array<number>>, key: K, ms: number) => {
    const times = table.get(key) ?? []
    if (times.push(ms) > remembered) times.shift()
    table.set(key, times)
    latest = ms
  }
  const known = <K>(table: Map<K, Array<number>>, key: K): number | undefined => {
    const times = table.get(key)
    return times === undefined || times.length < tries ? undefined : Math.min(...times)
  }
  const keyOf = (group: ReadonlyArray<Guest<E>>) => group.map(({ call }) => call.rows).toSorted().join(" ")

  // Whether a joint call is the faster one; undefined where that is to be measured.
  const pays = (group: ReadonlyArray<Guest<E>>): boolean | undefined => {
    const key = keyOf(group)
    if (group.length < 2) return false
    const joint = known(measured.together, key)
    let apart = 0
    for (const { call } of group) {
      const one = known(measured.alone, call.rows)
      if (one === undefined) return undefined
      apart += one
    }
    if (joint === undefined || joint < apart) return joint === undefined ? undefined : true
    if (++notMade < retriedAfter) return false
    notMade = 0
    measured.together.delete(key)
    return undefined
  }

  const callAlone = ({ call: { call, rows } }: Guest<E>) =>
    Effect.map(alone(call), (ms) => note(measured.alone, rows, ms))

  // As many as may be made together with the first, in their order.
  const groupOf = (candidates: Iterable<Guest<E>>): ReadonlyArray<Guest<E>> => {
    const group: Array<Guest<E>> = []
    let most = Infinity
    for (const guest of candidates) {
      const bound = Math.min(most, guest.call.most)
      if (group.length >= bound) continue
      if (group[0] !== undefined && !areSame(group[0].call, guest.call)) continue
      most = bound
      group.push(guest)
    }
    return group
  }

  const around = (first: Guest<E>) =>
    [...new Set([first, ...waiting, ...guests])].filter((guest) =>
      guest === first || waiting.has(guest) || !guest.isLate
    )

  // Those who wait now, as one call or one after the other.
  const fly = Effect.fnUntraced(function*(group: ReadonlyArray<Guest<E>>) {
    const ended = (guest: Guest<E>, exit: Exit.Exit<void, E>) => {
      const { done } = guest
      guest.done = undefined
      if (done !== undefined) Deferred.doneUnsafe(done, exit)
    }
    const isMeasured = group.every(({ call }) => known(measured.alone, call.rows) !== undefined)
    if (isMeasured && pays(group) !== false) {
      const key = keyOf(group)
      const ms = yield* Effect.catch(together(group.map(({ call }) => call.call)), () => Effect.undefined)
      if (ms !== undefined) {
        note(measured.together, key, ms)
        for (const guest of group) {
          guest.excuse = Math.max(0, guest.excuse - 1)
          ended(guest, Exit.void)
        }
        return
      }
      // Each may work alone: what one reads may be what failed, or memory was short.
      measured.together.set(key, Array.from({ length: tries }, () => Infinity))
    }
    for (const guest of group) ended(guest, yield* Effect.exit(callAlone(guest)))
  })

  const flight = (group: ReadonlyArray<Guest<E>>): Effect.Effect<void> =>
    Effect.suspend(() => {
      calling++
      for (const guest of group) waiting.delete(guest)
      const flying = Effect.uninterruptible(Effect.ensuring(fly(group), settled))
      return Effect.asVoid(Effect.forkIn(flying, scope, { startImmediately: true }))
    })

  // Goes on when those who are expected are here, or their time is up.
  const consider: Effect.Effect<void> = Effect.suspend(() => {
    if (calling > 0) return Effect.void
    if (waiting.size === 0) return endTimer
    const group = groupOf(waiting)
    const isFull = group.length >= Math.min(...group.map(({ call }) => call.most))
    const isExpecting = [...guests].some((guest) => !guest.isLate && !waiting.has(guest))
    if (isFull || !isExpecting) return Effect.andThen(endTimer, flight(group))
    if (timer !== undefined) return Effect.void
    return Effect.map(Effect.forkIn(late, scope), (fiber) => {
      timer = fiber
    })
  })

  const late = Effect.andThen(
    Effect.suspend(() => Effect.sleep(Math.max(shortestWait, latest / 2))),
    Effect.suspend(() => {
      timer = undefined
      for (const guest of guests) {
        if (waiting.has(guest) || guest.isLate) continue
        guest.isLate = true
        guest.excused = guest.excuse
        guest.excuse = Math.min(longestExcuse, 2 * guest.excuse + 1)
      }
      return consider
    })
  )

  const endTimer = Effect.suspend(() => {
    const fiber = timer
    timer = undefined
    return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
  })

  const settled = Effect.suspend(() => {
    calling--
    return consider
  })

  const meet = (guest: Guest<E>, restore: <A>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>) => {
    const done = Deferred.makeUnsafe<void, E>()
    guest.done = done
    waiting.add(guest)
    return Effect.andThen(
      consider,
      // A call that has begun is not left before its end.
      Effect.onInterrupt(
        restore(Deferred.await(done)),
        () => Effect.suspend(() => waiting.delete(guest) ? consider : Effect.asVoid(Effect.exit(Deferred.await(done))))
      )
    )
  }

  const run = (guest: Guest<E>): Effect.Effect<void, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        guest.isLate = guest.excused > 0
        if (guest.isLate) guest.excused--
        if (pays(groupOf(around(guest))) !== false) return meet(guest, restore)
        calling++
        return Effect.ensuring(restore(callAlone(guest)), settled)
      })
    )

  return {
    size: () => guests.size,
    join: (call) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const guest: Guest<E> = { call, isLate: true, excused: 0, excuse: 0, done: undefined }
            guests.add(guest)
            return guest
          }),
          (guest) =>
            Effect.suspend(() => {
              guests.delete(guest)
              return consider
            })
        ),
        run
      )
  }
}

const areSame = (a: JointCall, b: JointCall): boolean =>
  a.same.every((values, i) => values.every((value: bigint | number, place: number) => b.same[i]?.[place] === value))

/** The milliseconds that an effect takes. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.flatMap(
    Clock.currentTimeNanos,
    (before) =>
      Effect.flatMap(
        effect,
        (result) => Effect.map(Clock.currentTimeNanos, (after) => [result, Number(after - before) / 1e6] as const)
      )
  )
