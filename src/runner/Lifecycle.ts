/**
 * Three stages and the hooks around them, for any kind of work.
 *
 * `run` is the whole of it: prepare, onPrepare, execute, onExecute, finalize, onFinalize, in this order and nothing
 * else. A stage that fails or is interrupted ends the run, and no later hook is called. Nothing here depends on images:
 * Serena's own runner is the first user, and you can run stages of your own.
 */
import * as Effect from "effect/Effect"

/** The name of a stage, as passed to `Hooks.around`. */
export type Stage = "prepare" | "execute" | "finalize"

/**
 * The three stages. `Executed` is the output of execute and the input of finalize; `Result` is the output of finalize.
 * They may be the same type.
 */
export interface Stages<in Request, in out State, in out Executed, out Result, out E = never, out R = never> {
  readonly prepare: (request: Request) => Effect.Effect<State, E, R>
  readonly execute: (state: State) => Effect.Effect<Executed, E, R>
  readonly finalize: (state: State, executed: Executed) => Effect.Effect<Result, E, R>
}

/**
 * Observers of a run. A hook has no typed error and returns nothing: it can observe, wait and interrupt, but it cannot
 * change the result. A defect in a hook is a defect of the run.
 */
export interface Hooks<in State, in Executed, in Result, out R = never> {
  readonly onPrepare: (state: State) => Effect.Effect<void, never, R>
  readonly onExecute: (state: State, executed: Executed) => Effect.Effect<void, never, R>
  readonly onFinalize: (state: State, result: Result) => Effect.Effect<void, never, R>
  /**
   * Wraps each stage, to time, trace, delay or interrupt it. It is parametric in the stage's result, so it can neither
   * create nor change one.
   */
  readonly around: <A, E, R2>(stage: Stage, effect: Effect.Effect<A, E, R2>) => Effect.Effect<A, E, R | R2>
}

/** Builds stages from three functions. Each has its own errors and requirements; the result has their unions. */
export const stages = <Request, State, E1, R1, Executed, E2, R2, Result, E3, R3>(of: {
  readonly prepare: (request: Request) => Effect.Effect<State, E1, R1>
  readonly execute: (state: State) => Effect.Effect<Executed, E2, R2>
  readonly finalize: (state: State, executed: Executed) => Effect.Effect<Result, E3, R3>
}): Stages<Request, State, Executed, Result, E1 | E2 | E3, R1 | R2 | R3> => of

/** Hooks that do nothing. */
export const noop: Hooks<unknown, unknown, unknown> = {
  onPrepare: () => Effect.void,
  onExecute: () => Effect.void,
  onFinalize: () => Effect.void,
  around: (_, effect) => effect
}

/**
 * Combines several sets of hooks into one. Hooks run one after another in the order given, and the `around` of the
 * first set is the outermost.
 */
export const combine = <State, Executed, Result, R = never>(
  sets: ReadonlyArray<Partial<Hooks<State, Executed, Result, R>>>
): Hooks<State, Executed, Result, R> => {
  const onPrepare = sets.flatMap((set) => set.onPrepare ?? [])
  const onExecute = sets.flatMap((set) => set.onExecute ?? [])
  const onFinalize = sets.flatMap((set) => set.onFinalize ?? [])
  const around = sets.flatMap((set) => set.around ?? []).toReversed()
  return {
    onPrepare: onPrepare.length === 0
      ? noop.onPrepare
      : (state) => Effect.forEach(onPrepare, (hook) => hook(state), { discard: true }),
    onExecute: onExecute.length === 0
      ? noop.onExecute
      : (state, executed) => Effect.forEach(onExecute, (hook) => hook(state, executed), { discard: true }),
    onFinalize: onFinalize.length === 0
      ? noop.onFinalize
      : (state, result) => Effect.forEach(onFinalize, (hook) => hook(state, result), { discard: true }),
    around: <A, E, R2>(stage: Stage, effect: Effect.Effect<A, E, R2>) => {
      let wrapped: Effect.Effect<A, E, R | R2> = effect
      for (const wrap of around) wrapped = wrap(stage, wrapped)
      return wrapped
    }
  }
}

/** Runs `request` through the stages under the hooks. */
export const run: <Request, State, Executed, Result, E, R, RH = never>(
  stages: Stages<Request, State, Executed, Result, E, R>,
  hooks: Hooks<State, Executed, Result, RH>,
  request: Request
) => Effect.Effect<Result, E, R | RH> = Effect.fnUntraced(function*(stages, hooks, request) {
  const state = yield* hooks.around("prepare", Effect.suspend(() => stages.prepare(request)))
  yield* hooks.onPrepare(state)
  const executed = yield* hooks.around("execute", Effect.suspend(() => stages.execute(state)))
  yield* hooks.onExecute(state, executed)
  const result = yield* hooks.around("finalize", Effect.suspend(() => stages.finalize(state, executed)))
  yield* hooks.onFinalize(state, result)
  return result
})
