// queue.mts
import { Console, Effect, Layer, Queue } from "effect"
import { PersistedQueue } from "effect/persistence"
import { processImages, Serena, Txt2Img } from "serena-runtime"

const program = Effect.gen(function*() {
  const jobs = yield* PersistedQueue.make({ name: "pictures", schema: Txt2Img, maxAttempts: 3 })
  const finished = yield* Queue.unbounded<string>()

  // One job after the other. A job that fails is tried again later, but for one that can never be done.
  const worker = jobs.take((processing, { id }) =>
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
  yield* jobs.offer(cross, { id: "one" })
  yield* jobs.offer(cross, { id: "one" })
  yield* jobs.offer({ ...cross, sampler_name: "Yuler" }, { id: "two" })
  yield* jobs.offer({ ...cross, batch_size: 2 }, { id: "three" })

  for (let job = 0; job < 3; job++) yield* Console.log(yield* Queue.take(finished))
})

const layer = Layer.mergeAll(
  Serena.layer(),
  PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreMemory))
)
await Effect.runPromise(Effect.provide(program, layer))
