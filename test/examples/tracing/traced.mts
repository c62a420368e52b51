// traced.mts
import { Effect, Layer } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"
import { Tracing } from "serena-runtime/instrumentation"

const program = processImages(Txt2Img.make({ prompt: "a white star", steps: 5 }))

const layer = Layer.merge(
  Serena.layer({ hooks: Tracing.layer() }),
  Tracing.layerOtlp({ endpoint: "http://localhost:4318" })
)

await Effect.runPromise(Effect.provide(program, layer))
