import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { watched } from "../mainThread.ts"

const picture = processImages(Txt2Img.make({
  prompt: "a red circle",
  seed: 1,
  steps: 20,
  width: 256,
  height: 256,
  override_settings: { samples_save: false }
}))

describe("a run", () => {
  // Other processes may take the processor at any time, so one undisturbed run out of five is proof enough: a thread
  // that is blocked by the networks is blocked in every run.
  it.live("never makes a 1 ms timer late by more than 20 ms", () =>
    Effect.gen(function*() {
      yield* picture
      const runs = yield* Effect.replicateEffect(watched(picture), 5)
      assert.isBelow(Math.min(...runs.map(({ latest }) => latest)), 20)
      // What the thread itself computed between two ticks is nobody else's doing, so it is held against every run.
      for (const { longest } of runs) assert.isBelow(longest, 20)
    }).pipe(Effect.provide(Serena.layer())))
})
