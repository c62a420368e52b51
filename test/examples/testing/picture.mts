// picture.mts
import { Effect } from "effect"
import { processImages, Txt2Img } from "serena-runtime"

/** A picture of a thing. Tries again when the networks' thread died, and waits for half a minute at most. */
export const picture = Effect.fn("picture")(
  function*(thing: string) {
    const { images } = yield* processImages(Txt2Img.make({ prompt: `a ${thing}`, seed: 1, width: 64, height: 64 }))
    return images
  },
  Effect.retry({ times: 1, while: (error) => error._tag === "NetworkThreadDied" }),
  Effect.timeout("30 seconds")
)
