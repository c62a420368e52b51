import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { folderWith, runEach } from "./reader.ts"

it.live("progress is shown, watched and previewed", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("progress")
    const { stderr, stdout: [bar, watch = [], preview] } = yield* runEach(folder, [
      "bar.mts",
      "watch.mts",
      "preview.mts"
    ])
    assert.match(stderr.at(-1) ?? "", /^Progress: 100%, 40 steps in/)
    assert.deepStrictEqual(bar, [])

    assert.deepStrictEqual(watch.slice(-2), ["done: 100 %, 0.0 s left", "1 image"])
    const moments = watch.slice(0, -1)
    for (const moment of moments) assert.match(moment, /^\w+: \d+ %, \d+\.\d s left$/)
    const percents = moments.map((moment) => Number(/\d+/.exec(moment)?.[0]))
    assert.deepStrictEqual(percents, percents.toSorted((a, b) => a - b))
    assert.isAbove(new Set(percents).size, 3)

    assert.deepStrictEqual(preview, ["step 5: 16x16", "step 10: 16x16", "step 15: 16x16"])
  }))

it.live("a run is asked to end, interrupted, and ended by time or an AbortSignal", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("cancellation")
    const programs = ["asking.mts", "interruption.mts", "timeout.mts", "signal.mts"]
    const { stdout: [asking, interruption, timeout, signal] } = yield* runEach(folder, programs)
    assert.deepStrictEqual(asking, [
      "interrupt: complete, unfinished",
      "skip: complete, unfinished, complete",
      "stop: complete, complete"
    ])
    assert.deepStrictEqual(interruption, ["too late", "runs: 0"])
    assert.deepStrictEqual(timeout, ["interrupted: true, less than 50: true"])
    assert.deepStrictEqual(signal, ["interrupted: true", "interrupted: true"])
  }))
