// signal.mts
import { Cause, Effect, Exit } from "effect"
import { processImages, RunnerHooks, Serena, Txt2Img } from "serena-runtime"
import { Cancellation } from "serena-runtime/instrumentation"

const program = processImages(Txt2Img.make({ prompt: "a star", steps: 150, n_iter: 50 }))

// Interrupts the whole program.
const exit = await Effect.runPromiseExit(Effect.provide(program, Serena.layer()), { signal: AbortSignal.timeout(500) })
process.stdout.write(`interrupted: ${Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)}\n`)

// Ends only the run, which returns the images it has.
const hooks = RunnerHooks.layer(Cancellation.onSignal(AbortSignal.timeout(1000), { mode: "keep" }))
const processed = await Effect.runPromise(Effect.provide(program, Serena.layer({ hooks })))
process.stdout.write(`interrupted: ${processed.interrupted}\n`)
