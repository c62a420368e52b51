// queue.mts
import { Console, Effect, Layer, Queue } from "effect"
import { PersistedQueue } from "effect/persistence"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const requests = yield* PersistedQueue.make({ name: "images", schema: Txt2Img, maxAttempts: 3 })
  const finished = yield* Queue.unbounded<string>()

  // Takes one request at a time. A request that fails is retried later, unless it can never succeed.
  const worker = requests.take((processing, { id }) =>
    processImages(processing).pipe(
      Effect.map(({ images }) => `${id}: ${images.length}`),
      Effect.catchTag(["InvalidProcessing", "UnknownSampler"], (error) => Effect.succeed(`${id}: ${error._tag}`)),
      Effect.flatMap((line) => Queue.offer(finished, line))
    )
  ).pipe(
    Effect.catch((error) => Effect.logError(error)),
    Effect.forever
  )
  yield* Effect.forkChild(worker)

  const cross = Txt2Img.make({ prompt: "a black cross", steps: 5 })
  yield* requests.offer(cross, { id: "one" })
  yield* requests.offer(cross, { id: "one" })
  yield* requests.offer({ ...cross, sampler_name: "Yuler" }, { id: "two" })
  yield* requests.offer({ ...cross, batch_size: 2 }, { id: "three" })

  for (let count = 0; count < 3; count++) yield* Console.log(yield* Queue.take(finished))
})

const layer = Layer.mergeAll(
  Serena.layer(),
  PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreMemory))
)
await Effect.runPromise(Effect.provide(program, layer))
