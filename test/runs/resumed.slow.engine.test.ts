import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { processImages } from "../../src/runner/processImages.ts"
import { finishedOf } from "../../src/runs/finished.ts"
import * as Serena from "../../src/Serena.ts"
import { blobs, kept, requestOf, shown } from "./resuming.ts"

layer(Layer.merge(Serena.layer(), blobs))("a run on the embedded model that goes on", (it) => {
  it.effect.each(["txt2img", "hires", "img2img", "inpaint"] as const)(
    "gives what it gives at one go: %s",
    (kind) =>
      Effect.gen(function*() {
        const request = yield* requestOf({
          kind,
          n_iter: 2,
          batch_size: 2,
          done: 2,
          seed: 5,
          isVaried: false,
          hasGrid: true,
          hasMasks: true,
          sampler_name: "Euler a"
        }, { saves: false, size: 64 })
        const whole = yield* processImages(request)
        const finished = yield* finishedOf(yield* kept(whole, 2))
        assert.deepStrictEqual(shown(yield* processImages(request, { finished })), shown(whole))
      })
  )
})
