// quota.mts
import { Console, Context, Effect, Layer } from "effect"
import { InvalidProcessing, Pipeline, processImages, Serena, Txt2Img } from "serena-runtime"

/** The user who makes the request. */
const User = Context.Reference("app/User", { defaultValue: () => "anonymous" })

/** A pipeline that generates up to `limit` images for each user, and rejects requests for more. */
const layerQuota = (limit: number): Layer.Layer<Pipeline, never, Pipeline> =>
  Layer.effect(
    Pipeline,
    Effect.gen(function*() {
      const pipeline = yield* Pipeline
      const used = new Map<string, number>()
      return Pipeline.of({
        ...pipeline,
        prepare: Effect.fnUntraced(function*(request) {
          const user = yield* User
          const requested = request.processing.batch_size * request.processing.n_iter
          const left = limit - (used.get(user) ?? 0)
          if (requested > left) {
            const message = `${user} requested ${requested} and has ${left} left`
            return yield* new InvalidProcessing({ problems: [{ path: "n_iter", message }] })
          }
          used.set(user, limit - left + requested)
          return yield* pipeline.prepare(request)
        })
      })
    })
  )

const ask = (user: string, n_iter: number) =>
  processImages(Txt2Img.make({ prompt: "a green square", steps: 5, n_iter })).pipe(
    Effect.flatMap(({ images }) => Console.log(`${user}: ${images.length} images`)),
    Effect.catchTag("InvalidProcessing", ({ message }) => Console.log(message)),
    Effect.provideService(User, user)
  )

const program = Effect.gen(function*() {
  yield* ask("guest", 2)
  yield* ask("guest", 2)
  yield* ask("member", 3)
})

await Effect.runPromise(Effect.provide(program, layerQuota(3).pipe(Layer.provideMerge(Serena.layer()))))
