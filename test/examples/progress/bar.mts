// bar.mts
import { NodeStdio } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"
import { Progress } from "serena-runtime/instrumentation"

const hooks = Progress.layer().pipe(Layer.provide(NodeStdio.layer))
const program = processImages(Txt2Img.make({ prompt: "a red circle", n_iter: 2 }))
await Effect.runPromise(Effect.provide(program, Serena.layer({ hooks })))
