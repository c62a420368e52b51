/**
 * A process that makes a picture with the library whenever it is told to, and says how many milliseconds that took.
 *
 * Usage: forked with a request of `POST /sdapi/v1/txt2img`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { performance } from "node:perf_hooks"
import * as Processing from "../../../src/processing/Processing.ts"
import { processImages } from "../../../src/runner/processImages.ts"
import * as Serena from "../../../src/Serena.ts"

const request: Readonly<Record<string, unknown>> = JSON.parse(process.argv[2] ?? "")

NodeRuntime.runMain(
  Effect.gen(function*() {
    for (;;) {
      yield* Effect.promise(() => once(process, "message"))
      const begun = performance.now()
      yield* processImages(
        yield* Processing.decode({ ...request, override_settings: { samples_save: false } })
      )
      const milliseconds = performance.now() - begun
      yield* Effect.sync(() => process.send?.(milliseconds))
    }
  }).pipe(Effect.provide(Serena.layer()))
)
