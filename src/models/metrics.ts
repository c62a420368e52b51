/**
 * Metrics of models: loads, networks in memory, calls that wait for their turn, cache hits and misses.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type * as Semaphore from "effect/Semaphore"

const loads = Metric.counter("serena_model_loads_total", { description: "Models loaded", incremental: true })

const loadFailures = Metric.counter("serena_model_load_failures_total", {
  description: "Models that were asked for and could not be loaded, by error",
  incremental: true
})

const resident = Metric.gauge("serena_models_resident", { description: "Models in memory" })

/** Counts a model that was loaded, and one in memory until the scope closes. */
export const loaded: Effect.Effect<void, never, Scope.Scope> = Effect.andThen(
  Metric.update(loads, 1),
  Effect.acquireRelease(Metric.modify(resident, 1), () => Metric.modify(resident, -1))
)

/** Counts a model that could not be loaded. */
export const loadFailed = ({ _tag }: { readonly _tag: string }): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(loadFailures, { error_type: _tag }), 1)

const sessionsOpen = Metric.gauge("serena_network_sessions_open", { description: "Networks in memory" })

/** Counts networks as they come into memory and leave it. For callbacks outside of fibers. */
export const sessions: Effect.Effect<(change: number) => void> = Effect.map(
  Effect.context<never>(),
  (context) => (change) => sessionsOpen.modifyUnsafe(change, context)
)

const queueLength = Metric.gauge("serena_network_queue_length", {
  description: "Network calls that wait for their turn"
})

const wait = Metric.histogram("serena_network_wait_seconds", {
  description: "Time a network call waited for its turn",
  attributes: { unit: "seconds" },
  boundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300]
})

const joint = Metric.counter("serena_network_joint_calls_total", {
  description: "Network calls of several runs that were made as one",
  incremental: true
})

/** Counts calls that were made as one. */
export const madeJointly = (calls: number): Effect.Effect<void> => Metric.update(joint, calls)

/** Makes a call in its turn, and measures how long it waited. */
export const inTurn = <A, E, R>(turn: Semaphore.Semaphore, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.context<never>(), (context) => {
    const clock = Context.get(context, Clock.Clock)
    const since = clock.currentTimeNanosUnsafe()
    let waits = true
    const leave = () => {
      if (waits) queueLength.modifyUnsafe(-1, context)
      waits = false
    }
    const begin = Effect.suspend(() => {
      leave()
      wait.updateUnsafe(Number(clock.currentTimeNanosUnsafe() - since) / 1e9, context)
      return call
    })
    queueLength.modifyUnsafe(1, context)
    return Effect.ensuring(turn.withPermit(begin), Effect.sync(leave))
  })

/** A cache: of a model's tokenizer, or of its latest embeddings. */
export type Cache = "tokenizer" | "embedding"

const hits = Metric.counter("serena_cache_hits_total", {
  description: "Answers that were remembered, by cache",
  incremental: true
})

const misses = Metric.counter("serena_cache_misses_total", {
  description: "Answers that had to be computed, by cache",
  incremental: true
})

const counters = (cache: Cache) => ({
  hit: Metric.withAttributes(hits, { cache }),
  miss: Metric.withAttributes(misses, { cache })
})

const lookups = { tokenizer: counters("tokenizer"), embedding: counters("embedding") }

/** Counts a cache lookup. */
export const lookedUp = (cache: Cache, found: boolean): Effect.Effect<void> =>
  Metric.update(lookups[cache][found ? "hit" : "miss"], 1)
