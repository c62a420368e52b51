/** A program with a long run on another server: `node remoteRun.ts <url> <outdir>`. It says how many images it has. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Txt2Img } from "../../src/processing/Processing.ts"
import * as RemoteRuntime from "../../src/remote/RemoteRuntime.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"

const [url = "", outdir_samples = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const progress = Stream.runForEach(
    (yield* Runs).watch("long"),
    ({ images }) => Effect.sync(() => process.stderr.write(`${images.length} finished\n`))
  )
  yield* Effect.forkChild(progress)
  yield* processImages(
    Txt2Img.make({ prompt: "a heart", steps: 10, n_iter: 100, width: 64, height: 64 }),
    { runId: "long" }
  )
})

NodeRuntime.runMain(Effect.provide(program, RemoteRuntime.layer({ url, options: { outdir_samples } })))
