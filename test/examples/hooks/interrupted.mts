// A run that is interrupted while it executes.
import { Effect, Fiber, Stream } from "effect"
import { processImages, RunnerHooks, Runs, Serena, Txt2Img } from "serena-runtime"
import { makeAudit } from "./audit.mts"

const hooks = RunnerHooks.layerEffect(Effect.all([makeAudit("interrupted.jsonl")]))

const program = Effect.gen(function*() {
  const { watch } = yield* Runs
  const fiber = yield* Effect.forkChild(
    processImages(Txt2Img.make({ prompt: "a heart", steps: 150 }), { runId: "one" })
  )
  yield* watch("one").pipe(Stream.takeUntil(({ samplingStep }) => samplingStep > 0), Stream.runDrain)
  yield* Fiber.interrupt(fiber)
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ hooks })))
