// fallback.mts
import { Console, Effect } from "effect"
import { processImages, Serena, Txt2Img } from "serena-runtime"
import { RemoteRuntime } from "serena-runtime/remote"

const heart = processImages(Txt2Img.make({ prompt: "a pink heart", seed: 1, steps: 8, width: 128, height: 128 }))
const options = { samples_save: false }

const local = Effect.provide(heart, Serena.layer({ options }))
const remote = Effect.provide(heart, RemoteRuntime.layer({ url: "http://127.0.0.1:9", options }))

const program = remote.pipe(
  Effect.catchTag("RemoteServerError", (error) =>
    error.kind === "unreachable" || error.kind === "busy"
      ? Effect.andThen(Console.log(error.message), local)
      : Effect.fail(error)),
  Effect.flatMap(({ images }) => Console.log(`${images.length} image`))
)

await Effect.runPromise(program)
