/**
 * Previews by TAESD: a tiny autoencoder that decodes latents as samplers work with them.
 *
 * Its files do not say for which latents they were trained, Stable Diffusion's or SDXL's: the shapes are the same. A
 * name with "xl" means SDXL's, as the files are published (`taesd_decoder`, `taesdxl_decoder`).
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { sd1 } from "../families/sd1.ts"
import { sdxl } from "../families/sdxl.ts"
import type { Autoencoder, TinyDecoder } from "../model/Autoencoder.ts"
import type { LatentFormat } from "../model/LatentFormat.ts"
import type { InvalidModelFile } from "../model/ModelError.ts"
import { contentsOf } from "./checkpoint/contents.ts"
import { fitting } from "./fitting.ts"
import { Weights } from "./graph/Weights.ts"
import { type ModelFile, open } from "./ModelFile.ts"
import type { Networks } from "./Networks.ts"
import { taesdDecoder } from "./networks/taesd.ts"
import { builtOpener } from "./opening.ts"
import * as TensorBuffer from "./TensorBuffer.ts"

/** Whether a file has a tiny decoder for latents of this format. */
export const decodes = ({ contents, file, format, problems }: ModelFile, latents: LatentFormat): boolean => {
  const hasDecoder = contents?.parts.some(({ network }) => network === "taesd-decoder") === true
  const { latents: own } = /taesd[-_]?xl|sdxl/i.test(file.split(/[\\/]/).slice(-2).join("/")) ? sdxl : sd1
  const isLike = own.channels === latents.channels &&
    own.factor.every((factor, i) => factor === latents.factor[i] && own.shift[i] === latents.shift[i])
  return format === "file" && problems.length === 0 && hasDecoder && isLike
}

/** The decoder in a file. Its network is opened apart from all others, when it is first used. */
export const make = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<
  TinyDecoder,
  InvalidModelFile,
  Networks | Scope.Scope | Effect.Services<ReturnType<typeof open>>
> {
  const source = yield* open({ file, format: "file" })
  const part = contentsOf(source.tensors).parts.find(({ network }) => network === "taesd-decoder")
  // diffusers' names begin with the side, which the network looks for itself.
  const prefix = part?.naming === "diffusers" ? part.prefix.replace(/decoder\.layers\.$/, "") : part?.prefix ?? ""
  const opening = yield* builtOpener
  const variant = (seamless: boolean) =>
    opening(
      { model: file, network: "taesd" },
      Effect.map(
        fitting(file, () => taesdDecoder(Weights.of(source, prefix), { seamless }).file()),
        (graph) => ({ file, graph })
      ),
      { background: true }
    )
  const [plain, seamless] = [yield* variant(false), yield* variant(true)]
  const decode: Autoencoder["decode"] = Effect.fnUntraced(function*(latent, shape) {
    const { channels, height, width } = shape
    const { network, type } = yield* (shape.seamless === true ? seamless : plain)
    const input = TensorBuffer.make(type("latent_sample"), [1, channels, height, width])
    const output = TensorBuffer.make(type("sample"), [1, 3, height * scale, width * scale])
    input.values.set(latent)
    yield* TensorBuffer.run(network, { inputs: { latent_sample: input }, outputs: { sample: output } })
    // It gives 0 to 1.
    return output.values.map((value) => value * 2 - 1)
  })
  return { decode, space: scale }
})

/** Pixels for each latent along a side. */
const scale = 8
