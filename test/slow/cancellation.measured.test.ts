import { assert, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { performance } from "node:perf_hooks"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Txt2Img } from "../../src/processing/Processing.ts"
import type { Processed } from "../../src/runner/Processed.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"
import type { RunState } from "../../src/runner/RunState.ts"
import * as Serena from "../../src/Serena.ts"

const moments = 30
const steps = 12
/** What the machine's own noise may add. */
const tolerance = 50

const processing = Txt2Img.make({
  prompt: "a red circle on a blue background",
  seed: 1,
  steps,
  width: 192,
  height: 192,
  override_settings: { samples_save: false }
})

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const megabytes = () => {
  collectGarbage()
  return process.memoryUsage().rss / 2 ** 20
}

/** How long each of a run's steps took, and all that came after the last one, in milliseconds. */
const watched = Effect.fnUntraced(function*(runId: string) {
  const { watch } = yield* Runs
  const times: Array<number> = []
  let seen = 0
  const watching = yield* Effect.forkChild(
    Stream.runForEach(watch(runId), ({ samplingStep }) =>
      Effect.sync(() => {
        if (samplingStep > seen) times.push(performance.now())
        seen = samplingStep
      })),
    { startImmediately: true }
  )
  yield* processImages(processing, { runId })
  const end = performance.now()
  yield* Fiber.interrupt(watching)
  return { steps: times.slice(1).map((time, i) => time - (times[i] ?? NaN)), rest: end - (times.at(-1) ?? NaN) }
})

const quantile = (values: ReadonlyArray<number>, share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN
const median = (values: ReadonlyArray<number>) => quantile(values, 0.5)
const largest = (values: ReadonlyArray<number>) => quantile(values, 1)
const inWords = (values: ReadonlyArray<number>) =>
  `median ${median(values).toFixed(1)} ms, 95% ${quantile(values, 0.95).toFixed(1)} ms, longest ${
    largest(values).toFixed(1)
  } ms`

/** What was measured, of the machine and of the runs that were ended. */
interface Measured {
  /** How long steps take, and all that comes after the last. */
  readonly steps: Array<number>
  readonly rests: Array<number>
  readonly latencies: Array<number>
}

/** Waits until a run is in a step, 0 for what comes before the first, and has been in it for so many milliseconds. */
const inStep = Effect.fnUntraced(function*(runId: string, step: number, milliseconds: number) {
  const { watch } = yield* Runs
  if (step > 0) {
    yield* watch(runId).pipe(Stream.takeUntil(({ samplingStep }) => samplingStep >= step), Stream.runDrain)
  }
  yield* Effect.sleep(milliseconds)
})

/**
 * Ends a run at each of `moments` moments of it, spread evenly over its steps, in an order that has nothing to do with
 * them. Whole runs in between measure how fast the machine is at that time; its other work delays both alike.
 */
const measure = Effect.fnUntraced(function*<E, R>(
  end: (moment: Effect.Effect<void, never, Runs>, runId: string, i: number) => Effect.Effect<number | undefined, E, R>
) {
  const measured: Measured = { steps: [], rests: [], latencies: [] }
  for (let i = 0; i < moments; i++) {
    if (i % 5 === 0) {
      const { rest, steps } = yield* watched(`whole ${i}`)
      measured.steps.push(...steps)
      measured.rests.push(rest)
    }
    const runId = `run ${i}`
    const position = ((i * 37) % moments + 0.5) / moments * (steps + 1)
    const step = Math.floor(position)
    const latency = yield* end(inStep(runId, step, (position - step) * median(measured.steps)), runId, i)
    if (latency !== undefined) measured.latencies.push(latency)
  }
  return measured
})

/** Counts the steps that a run ends from now on. */
const stepsAfter = (state: Option.Option<RunState>) => {
  const step = Option.isNone(state)
    ? Effect.succeed(0)
    : Effect.map(state.value.progress, ({ samplingStep }) => samplingStep)
  return Effect.map(step, (before) => Effect.map(step, (after) => after - before))
}

const bytes = ({ images }: Processed) => images.map(({ bytes }) => Buffer.from(bytes).toString("base64"))

it.live("an interrupted run ends within a step and 50 ms, leaks nothing, and leaves the next run unharmed", () =>
  Effect.gen(function*() {
    const { get, list } = yield* Runs
    const expected = bytes(yield* processImages(processing))
    let before = NaN
    const { latencies, rests, steps } = yield* measure(Effect.fnUntraced(function*(moment, runId, i) {
      // The first fifth brings memory to its level: onnxruntime keeps what it has taken once.
      if (i === moments / 5) before = megabytes()
      const fiber = yield* Effect.forkChild(processImages(processing, { runId }), { startImmediately: true })
      yield* moment
      const state = yield* get(runId)
      const counted = yield* stepsAfter(state)
      const start = performance.now()
      yield* Fiber.interrupt(fiber)
      const latency = performance.now() - start
      assert.deepStrictEqual(yield* list, [])
      if (Option.isNone(state)) return undefined
      assert.isAtMost(yield* counted, 1)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      return latency
    }))
    const growth = megabytes() - before
    yield* Console.log([
      `A step: ${inWords(steps)}. Decoding and the rest: ${inWords(rests)}.`,
      `From interruption to return, at ${latencies.length} moments: ${inWords(latencies)}.`,
      `Memory grew by ${growth.toFixed(1)} MB over the last ${moments * 4 / 5} interrupted runs.`
    ].join("\n"))

    assert.isAtLeast(latencies.length, moments * 0.8)
    assert.isBelow(median(latencies), median(steps) + tolerance)
    assert.isBelow(growth, 40)
    assert.deepStrictEqual(bytes(yield* processImages(processing)), expected)
  }).pipe(Effect.provide(Serena.layer())))

it.live("a run that is asked to end does so within a step, the image's decoding, and 50 ms", () =>
  Effect.gen(function*() {
    const { get } = yield* Runs
    const expected = bytes(yield* processImages(processing))
    let kept = 0
    const { latencies, rests, steps } = yield* measure(Effect.fnUntraced(function*(moment, runId) {
      const fiber = yield* Effect.forkChild(processImages(processing, { runId }), { startImmediately: true })
      yield* moment
      const state = yield* get(runId)
      if (Option.isNone(state)) {
        yield* Fiber.join(fiber)
        return undefined
      }
      const counted = yield* stepsAfter(state)
      const start = performance.now()
      yield* state.value.interrupt
      const { images, interrupted } = yield* Fiber.join(fiber)
      assert.strictEqual(interrupted, images.every(({ complete }) => !complete))
      const latency = performance.now() - start
      assert.isAtMost(yield* counted, 1)
      kept += images.length
      return latency
    }))
    yield* Console.log([
      `A step: ${inWords(steps)}. Decoding and the rest: ${inWords(rests)}.`,
      `From the wish to the picture, at ${latencies.length} moments: ${inWords(latencies)}.`
    ].join("\n"))

    assert.isAtLeast(latencies.length, moments * 0.8)
    assert.isAtLeast(kept, latencies.length * 0.8)
    assert.isBelow(median(latencies), median(steps) + median(rests) + tolerance)
    assert.deepStrictEqual(bytes(yield* processImages(processing)), expected)
  }).pipe(Effect.provide(Serena.layer())))
