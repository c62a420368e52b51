// draw.mts
import { Effect } from "effect"
import { Client, Txt2Img } from "serena-runtime/client"

/** Shows previews and then the image: `show` receives the `src` of an `<img>`. The signal cancels the run. */
export const draw = (
  prompt: string,
  options: { readonly server: string; readonly show: (src: string) => void; readonly signal: AbortSignal }
): Promise<void> => {
  const { server, show, signal } = options
  const program = Effect.gen(function*() {
    const client = yield* Client.make({ url: server })
    yield* client.generate(Txt2Img.make({ prompt }), {
      previews: true,
      onEvent: (event) =>
        Effect.sync(() => {
          if (event._tag === "Step" && event.preview !== null) show(`data:image/png;base64,${event.preview.png}`)
          if (event._tag === "Image") show(new URL(event.image.url, server).href)
        })
    })
  })
  return Effect.runPromise(program, { signal })
}
