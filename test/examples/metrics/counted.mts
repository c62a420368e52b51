// counted.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"
import { Metrics } from "serena-runtime/instrumentation"

const program = Effect.gen(function*() {
  yield* processImages(Txt2Img.make({ prompt: "a white star", steps: 5, batch_size: 2 }))
  yield* Effect.ignore(processImages(Txt2Img.make({ sampler_name: "Oiler" })))
  const text = yield* Metrics.prometheus
  const counts = text.split("\n").filter((line) => /^serena_(runs|images|steps)_/.test(line))
  yield* Console.log(counts.toSorted().join("\n"))
})

await Effect.runPromise(Effect.provide(program, Serena.layer({ hooks: Metrics.layer })))
