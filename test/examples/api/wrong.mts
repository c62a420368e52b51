// wrong.mts
import { Console, Effect } from "effect"
import { Client, Txt2Img } from "serena-runtime/client"

const draw = Effect.fn("draw")(
  function*(url: string, request: Txt2Img) {
    const client = yield* Client.make({ url })
    const { images } = yield* client.generate(request)
    yield* Console.log(`${images.length} images`)
  },
  Effect.catchTags({
    InvalidProcessing: ({ problems }) =>
      Effect.forEach(problems, ({ message, path }) => Console.log(`${path}: ${message}`)),
    ConnectionError: ({ url }) => Console.log(`no server at ${url}`),
    QueueFull: ({ retryAfter }) => Console.log(`retry in ${retryAfter} seconds`)
  })
)

const large = Txt2Img.make({ width: 99_999, batch_size: 999 })
await Effect.runPromise(draw(process.env["SERENA_URL"] ?? "http://127.0.0.1:7860", large))
await Effect.runPromise(draw("http://127.0.0.1:9", large))
