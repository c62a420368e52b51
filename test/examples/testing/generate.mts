// generate.mts
import { Effect } from "effect"
import { processImages, Txt2Img } from "serena-runtime"

/** Generates an image of a subject. Retries once if the network thread died; times out after half a minute. */
export const generate = Effect.fn("generate")(
  function*(subject: string) {
    const { images } = yield* processImages(Txt2Img.make({ prompt: `a ${subject}`, seed: 1, width: 64, height: 64 }))
    return images
  },
  Effect.retry({ times: 1, while: (error) => error._tag === "NetworkThreadDied" }),
  Effect.timeout("30 seconds")
)
