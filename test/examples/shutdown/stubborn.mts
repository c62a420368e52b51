// A run that hangs, and does not end when it is asked to.
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { processImages, Txt2Img } from "serena-runtime"
import { Faults, TestPipeline, TestRuntime } from "serena-runtime/testing"
import { gracefully } from "./gracefully.mts"

const program = Effect.gen(function*() {
  const { fault, hanging } = yield* Faults.hang("execute")
  yield* Effect.forkChild(Effect.andThen(hanging, Console.log("hanging")))
  yield* processImages(Txt2Img.make({ prompt: "a ring" })).pipe(
    Effect.onInterrupt(() => Console.log("interrupted")),
    gracefully("200 millis"),
    Effect.provide(TestRuntime.layer({ pipeline: TestPipeline.layer().pipe(Faults.layer(fault)) }))
  )
})

NodeRuntime.runMain(program)
