/**
 * Work of more than a few milliseconds: pixels, large texts.
 *
 * The work is a generator that yields after each part, of which there may be thousands, so that it can be interrupted.
 * It is written once, and run without a pause (`atOnce`), in turns with other fibers (`inTurns`), or by a thread of its
 * own (`away`): the result is the same.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Work that stops for a moment at each `yield`. */
export type Parts<A> = Generator<void, A, void>

/** Multiplications, or what takes as long, in one part: about a millisecond. */
export const workAtOnce = 1 << 18

/** Milliseconds after which other fibers get their turn. */
const turn = 4

/** The whole work, in turns with other fibers. It begins anew each time the effect is run. */
export const inTurns = <A>(work: () => Parts<A>): Effect.Effect<A> =>
  Effect.gen(function*() {
    const parts = work()
    for (;;) {
      const end = performance.now() + turn
      do {
        const part = parts.next()
        if (part.done === true) return part.value
      } while (performance.now() < end)
      yield* Effect.yieldNow
    }
  })

/**
 * An effect to place between the steps of work that is made of effects: it gives other fibers their turn once this one
 * has worked for as long as a turn. Effects that are done at once pause nothing by themselves.
 */
export const makePause: Effect.Effect<Effect.Effect<void>> = Effect.sync(() => {
  let end = performance.now() + turn
  const begin = Effect.sync(() => {
    end = performance.now() + turn
  })
  return Effect.suspend(() => performance.now() < end ? Effect.void : Effect.andThen(Effect.yieldNow, begin))
})

/** The whole work without a pause. */
export const atOnce = <A>(parts: Parts<A>): A => {
  for (;;) {
    const part = parts.next()
    if (part.done === true) return part.value
  }
}

/** Bytes that are copied at a time. Where the machine has to find the memory first, they take milliseconds. */
const copiedAtOnce = 2 ** 18

/** Parts one after the other, in memory of their own. */
export function* joining(parts: ReadonlyArray<Uint8Array>): Parts<Uint8Array<ArrayBuffer>> {
  // New memory that is all zeros would be written without a pause where it was in use before.
  const { buffer } = Buffer.allocUnsafeSlow(parts.reduce((sum, part) => sum + part.length, 0))
  const whole = new Uint8Array(buffer)
  let at = 0
  for (const part of parts) {
    for (let from = 0; from < part.length; from += copiedAtOnce) {
      whole.set(part.subarray(from, from + copiedAtOnce), at + from)
      yield
    }
    at += part.length
  }
  return whole
}

/** A function that a module exports, found again by another thread under its own name. */
export interface Work<Args extends ReadonlyArray<unknown>, A> {
  /** `import.meta.url` of the module. */
  readonly module: string
  readonly parts: (...args: Args) => Parts<A>
  /** Who waits for each other: work on pixels, on what requests bring, on prompts, or on large files. */
  readonly lane?: Lane | undefined
}

export type Lane = "pixels" | "requests" | "prompts" | "files"

/** Where long work is done: in turns with all other fibers, unless a layer says otherwise. */
export const WorkPlace = Context.Reference<{
  /** Arguments and result are plain data; those of another thread are copies. */
  readonly run: <Args extends ReadonlyArray<unknown>, A>(work: Work<Args, A>, args: Args) => Effect.Effect<A>
}>("serena/core/WorkPlace", { defaultValue: () => ({ run: (work, args) => inTurns(() => work.parts(...args)) }) })

/** Effort from which on work goes away: multiplications, or what takes as long. About four milliseconds. */
const longWork = 4 * workAtOnce

/** Does short work at once, and longer work where the context says. `effort` as for `workAtOnce`. */
export const away = <Args extends ReadonlyArray<unknown>, A>(
  work: Work<Args, A>,
  args: Args,
  effort: number
): Effect.Effect<A> =>
  effort < longWork
    ? Effect.sync(() => atOnce(work.parts(...args)))
    : Effect.flatMap(WorkPlace, ({ run }) => run(work, args))
