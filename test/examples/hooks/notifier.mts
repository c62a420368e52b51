// notifier.mts
import { Effect, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { type HookSet, RunnerHooks } from "serena-runtime"

/** Notifies a chat of finished images. If the chat cannot be reached, the run still succeeds. */
export const makeNotifier = Effect.fn("makeNotifier")(function*(url: string): Effect.fn.Return<
  HookSet,
  never,
  HttpClient.HttpClient
> {
  const client = (yield* HttpClient.HttpClient).pipe(
    HttpClient.filterStatusOk,
    HttpClient.retryTransient({ schedule: Schedule.exponential("50 millis"), times: 3 })
  )

  const notify = (text: string) =>
    client.execute(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(url), { text })).pipe(
      Effect.timeout("5 seconds"),
      Effect.orDie
    )

  return RunnerHooks.isolated({
    onFinalize: ({ processing }, { images }) => Effect.asVoid(notify(`${images.length} of "${processing.prompt}"`))
  })
})
