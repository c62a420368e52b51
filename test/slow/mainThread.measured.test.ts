import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { watched } from "../mainThread.ts"

const picture = processImages(Txt2Img.make({
  prompt: "a red circle",
  seed: 1,
  steps: 5,
  width: 256,
  height: 256,
  override_settings: { samples_save: false }
}))

describe("a run", () => {
  // A call of the networks takes longer than 20 ms here. A thread that is blocked by them is blocked in every run, so
  // one undisturbed run is proof enough.
  it.live("never makes a 1 ms timer late by more than 20 ms", () =>
    Effect.gen(function*() {
      yield* picture
      const { latest, longest } = yield* Effect.repeat(watched(picture), {
        until: ({ latest, longest }) => latest < 20 && longest < 20,
        times: 30
      })
      assert.isBelow(latest, 20)
      assert.isBelow(longest, 20)
    }).pipe(Effect.provide(Serena.layer())))
})
