// image.mts
import { Console, Effect, type Layer } from "effect"
import { hash } from "node:crypto"
import { processImages, RunnerHooks, Serena, Txt2Img } from "serena-runtime"
import { RemoteRuntime } from "serena-runtime/remote"

const hooks = RunnerHooks.layer({
  onPrepare: ({ height, sampler, width }) => Console.error(`${sampler.name}, ${width}x${height}`)
})
const options = { samples_save: false }

// Local, or remote if an address is set.
const url = process.env["SERENA_URL"]
const layer: Layer.Layer<RemoteRuntime.Services> = url === undefined
  ? Serena.layer({ hooks, options })
  : RemoteRuntime.layer({ url, hooks, options })

const program = Effect.gen(function*() {
  const request = Txt2Img.make({ prompt: "a pink heart", seed: 1, steps: 8, width: 128, height: 128 })
  const { images } = yield* processImages(request)
  for (const { bytes, seed } of images) yield* Console.log(`seed ${seed}: ${hash("sha256", bytes)}`)
})

await Effect.runPromise(Effect.provide(program, layer))
