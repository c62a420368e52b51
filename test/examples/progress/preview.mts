// preview.mts
import { Console, Effect, Fiber, Stream } from "effect"
import { processImages, Runs, type RunState, Serena, Txt2Img } from "serena-runtime"

const show = ({ height, step, width }: RunState.Preview) => Console.log(`step ${step}: ${width}x${height}`)

const program = Effect.gen(function*() {
  const { watch } = yield* Runs
  const runId = crypto.randomUUID()
  const star = Txt2Img.make({ prompt: "a star", override_settings: { show_progress_every_n_steps: 5 } })
  const previews = watch(runId).pipe(
    Stream.map(({ preview }) => preview),
    Stream.changes,
    Stream.runForEach((preview) => preview === undefined ? Effect.void : show(preview))
  )
  const watcher = yield* Effect.forkChild(previews)
  yield* processImages(star, { runId })
  yield* Fiber.join(watcher)
})

await Effect.runPromise(Effect.provide(program, Serena.layer()))
