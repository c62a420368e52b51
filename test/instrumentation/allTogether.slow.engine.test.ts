import * as NodeStdio from "@effect/platform-node/NodeStdio"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Cancellation, Metrics, Progress, Tracing } from "../../src/instrumentation/index.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import * as Serena from "../../src/Serena.ts"
import { RecordingHooks } from "../../src/testing/index.ts"

const request = Txt2Img.make({
  prompt: "a red circle on a blue background",
  negative_prompt: "blurry",
  seed: 7,
  subseed: 8,
  steps: 4,
  sampler_name: "Euler a",
  batch_size: 2,
  n_iter: 2,
  override_settings: { samples_save: false, show_progress_every_n_steps: 1 }
})

const run = processImages(request, { runId: "r1" })

// Every hook set that there is, and one that watches them.
const everything = RunnerHooks.layerEffect(Effect.all([
  Progress.make(),
  Effect.succeed(Tracing.make({ prompts: true })),
  Effect.succeed(Metrics.make()),
  Effect.succeed(Cancellation.timeout("10 minutes")),
  Effect.succeed(Cancellation.timeout("10 minutes", { mode: "keep" })),
  Effect.succeed(Cancellation.onSignal(new AbortController().signal)),
  Effect.succeed(RunnerHooks.isolated({ onExecute: () => Effect.die("a hook that fails") })),
  Effect.map(RecordingHooks.make, ({ hooks }) => hooks)
])).pipe(Layer.provide(NodeStdio.layer))

describe("hooks observe", () => {
  it.live("all hook sets at once, and a collector no one answers at, give the bytes and metadata that none gives", () =>
    Effect.gen(function*() {
      const none = yield* run.pipe(Effect.provide(Serena.layer({ cmdOpts: { threads: 1 } })))
      const all = yield* run.pipe(
        Effect.provide([
          Serena.layer({ hooks: everything, cmdOpts: { threads: 1 } }),
          Tracing.layerOtlp({ endpoint: "http://127.0.0.1:9" })
        ])
      )
      assert.strictEqual(none.images.length, 4)
      // Nothing but the time of day is another.
      assert.deepStrictEqual(all, { ...none, state: { ...none.state, startedAt: all.state.startedAt } })
      for (const [i, { bytes, infotext }] of all.images.entries()) {
        assert.strictEqual(Buffer.compare(bytes, none.images[i]?.bytes ?? new Uint8Array()), 0)
        assert.strictEqual(infotext, none.images[i]?.infotext)
      }
    }))
})
