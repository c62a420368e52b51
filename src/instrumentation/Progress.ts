/**
 * A progress bar on standard error.
 *
 * On a terminal it is a single line that redraws itself. Elsewhere it is plain lines for a log: at most one every two
 * seconds, and only after a new batch or another tenth of the work. The final state is always written, even when
 * sampling fails or is interrupted. Drawing happens in its own fiber, which skips states it has no time for, so it
 * never delays a run.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type HookSet, RunnerHooks } from "../runner/RunnerHooks.ts"
import { Runs } from "../runner/Runs.ts"
import type { RunProgress, RunState } from "../runner/RunState.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import { capabilities, drawBar, eraseToEnd, formatDuration, percent } from "./bar.ts"

export interface Options {
  /** Width of the terminal, read before each redraw. Defaults to 80. */
  readonly columns?: Effect.Effect<number> | undefined
}

/** Hooks that show the progress of each run. */
export const make = Effect.fn("Progress.make")(function*(
  options: Options = {}
): Effect.fn.Return<HookSet, never, Stdio.Stdio> {
  const stdio = yield* Stdio.Stdio
  const { canAnimate, canColor } = yield* capabilities(stdio)
  const columns = options.columns ?? Effect.succeed(80)
  // The reader may close standard error. That must not end a run.
  const write = (text: string) => Effect.ignore(Stream.run(Stream.make(text), stdio.stderr()))
  const display: Display = canAnimate
    ? {
      draw: (moment) => Effect.flatMap(columns, (columns) => write(`\r${bar(moment, columns, canColor)}${eraseToEnd}`)),
      last: (moment) =>
        Effect.flatMap(columns, (columns) => write(`\r${bar(moment, columns, canColor)}${eraseToEnd}\n`)),
      pause: "50 millis"
    }
    : {
      draw: (moment, before) => isWorthALine(moment, before) ? write(`${sentence(moment)}\n`) : undefined,
      last: (moment) => moment.elapsed === undefined ? Effect.void : write(`${sentence(moment)}\n`),
      pause: "200 millis"
    }
  return {
    around: (stage, effect) =>
      stage === "execute"
        ? Effect.acquireUseRelease(show(display), () => effect, ({ end }) => end)
        : effect
  }
})

/** The same hooks as a layer, for a program that needs no others. */
export const layer = (options?: Options): Layer.Layer<RunnerHooks, never, Stdio.Stdio> =>
  RunnerHooks.layerEffect(Effect.map(make(options), (hooks) => [hooks]))

/** The progress of a run from now until it ends; waits for a run that has not started. */
export const stream = (runId: string): Stream.Stream<RunProgress, never, Runs> =>
  Stream.unwrap(Effect.map(Runs, ({ watch }) => watch(runId)))

/** What one redraw needs: the state, the time and the pace so far. */
interface Moment {
  readonly progress: RunProgress
  readonly now: number
  /** Milliseconds since sampling started; `undefined` before. */
  readonly elapsed: number | undefined
  readonly steps: number
  /** Fraction of all steps completed, 0 to 1. */
  readonly share: number
  readonly stepsPerSecond: number | undefined
  readonly secondsLeft: number | undefined
}

interface Display {
  /** Draws a moment, or skips it, given the previously drawn one. */
  readonly draw: (moment: Moment, before: Moment | undefined) => Effect.Effect<void> | undefined
  readonly last: (moment: Moment) => Effect.Effect<void>
  /** Minimum time between two reads of the state. */
  readonly pause: `${number} millis`
}

// Starts drawing the current run; `end` stops drawing and draws the last state.
const show = Effect.fnUntraced(function*(display: Display) {
  const { state } = yield* RuntimeContext
  const measure = pace()
  let drawn: Moment | undefined
  const look = Effect.fnUntraced(function*(progress: RunProgress) {
    const moment = measure(progress, yield* Clock.currentTimeMillis)
    const drawing = display.draw(moment, drawn)
    if (drawing !== undefined) {
      drawn = moment
      yield* drawing
    }
    // No state is skipped before sampling starts, so that the pace is measured from the right moment.
    if (moment.elapsed !== undefined) yield* Effect.sleep(display.pause)
  })
  const fiber = yield* Effect.forkChild(Stream.runForEach(state.changes, look))
  return { end: Effect.andThen(Fiber.interrupt(fiber), drawLast(display, state, measure)) }
})

const drawLast = Effect.fnUntraced(function*(display: Display, state: RunState, measure: ReturnType<typeof pace>) {
  yield* display.last(measure(yield* state.progress, yield* Clock.currentTimeMillis))
})

// Model loading does not count: time starts with sampling.
const pace = () => {
  let began: { readonly at: number; readonly steps: number } | undefined
  return (progress: RunProgress, now: number): Moment => {
    const total = progress.passCount * progress.samplingSteps
    const steps = Math.min(total, progress.passesDone * progress.samplingSteps + progress.samplingStep)
    if (began === undefined && (progress.activity === "sampling" || steps > 0)) began = { at: now, steps }
    const elapsed = began && now - began.at
    const done = steps - (began?.steps ?? 0)
    const stepsPerSecond = done > 0 && elapsed !== undefined && elapsed > 0 ? (done * 1000) / elapsed : undefined
    return {
      progress,
      now,
      elapsed,
      steps,
      share: total === 0 ? 0 : steps / total,
      stepsPerSecond,
      secondsLeft: stepsPerSecond === undefined ? undefined : (total - steps) / stepsPerSecond
    }
  }
}

const isWorthALine = (moment: Moment, before: Moment | undefined): boolean => {
  if (moment.elapsed === undefined) return false
  if (before === undefined) return moment.elapsed >= 2000
  return moment.now - before.now >= 2000 &&
    (moment.progress.passesDone > before.progress.passesDone ||
      moment.share - before.share >= 0.1)
}

const bar = (moment: Moment, columns: number, color: boolean): string =>
  drawBar(moment.share, details(moment), columns, color)

const sentence = (moment: Moment): string => `Progress: ${[percent(moment.share), ...details(moment)].join(", ")}`

const details = ({ elapsed, progress, secondsLeft, share, steps, stepsPerSecond }: Moment): ReadonlyArray<string> => {
  const { passCount, passesDone, samplingStep, samplingSteps } = progress
  if (elapsed === undefined) return [progress.activity]
  const rate = stepsPerSecond === undefined ? [] : [formatRate(stepsPerSecond)]
  if (share === 1) return [`${steps} ${steps === 1 ? "step" : "steps"} in ${(elapsed / 1000).toFixed(1)} s`, ...rate]
  return [
    `step ${samplingStep}/${samplingSteps}`,
    ...(passCount > 1 ? [`batch ${Math.min(passesDone + 1, passCount)}/${passCount}`] : []),
    ...rate,
    ...(secondsLeft === undefined || progress.interrupted ? [] : [`${formatDuration(secondsLeft)} left`]),
    ...(progress.interrupted ? ["interrupted"] : [])
  ]
}

const formatRate = (stepsPerSecond: number): string =>
  stepsPerSecond >= 1 ? `${stepsPerSecond.toFixed(1)} it/s` : `${(1 / stepsPerSecond).toFixed(1)} s/it`
