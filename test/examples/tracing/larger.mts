// larger.mts
import { Effect, Layer, Option, Tracer } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"
import { Tracing } from "serena-runtime/instrumentation"

class Printed extends Tracer.NativeSpan {
  override end(...args: Parameters<Tracer.NativeSpan["end"]>) {
    super.end(...args)
    const parent = Option.map(
      this.parent,
      (span) => span._tag === "Span" ? span.name : `${span.traceId.slice(0, 8)}...`
    )
    if (this.name === "model.load") return
    process.stdout.write(`${this.name} in ${Option.getOrElse(parent, () => "nothing")}\n`)
  }
}

const star = processImages(Txt2Img.make({ prompt: "a white star", steps: 5 }))

const program = star.pipe(
  Effect.withSpan("order"),
  Tracing.continueFrom("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
)

const layer = Layer.merge(
  Serena.layer({ hooks: Tracing.layer() }),
  Layer.succeed(Tracer.Tracer, Tracer.make({ span: (options) => new Printed(options) }))
)

await Effect.runPromise(Effect.provide(program, layer))
