/**
 * Files of upscaling networks: ONNX files, and weights of ESRGAN's and Real-ESRGAN's networks, whose graphs are built.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import { InvalidModelFile } from "../model/ModelError.ts"
import { contentsOf, type Part } from "./checkpoint/contents.ts"
import { openFile } from "./checkpoint/sources.ts"
import { fitting } from "./fitting.ts"
import type { Graph } from "./graph/Graph.ts"
import { Weights } from "./graph/Weights.ts"
import { compact } from "./networks/compact.ts"
import { esrgan } from "./networks/esrgan.ts"

/**
 * Folders of upscalers, as stable-diffusion-webui, ComfyUI and Serena name them: by them an ONNX file is known to be an
 * upscaler, other files by what is in them.
 */
export const upscalerFolders = ["ESRGAN", "RealESRGAN", "upscale_models", "upscalers"]

const graphs: Partial<Record<Part["network"], (weights: Weights) => Graph>> = { compact, esrgan }

/**
 * What opens the network of a file: an ONNX file by its path, weights as the graph of the network that they are of.
 *
 * Fails with `InvalidModelFile` for weights of another kind, and for upscalers of which no graph is built.
 */
export const networkOf = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<
  string | { readonly file: string; readonly graph: ReturnType<Graph["file"]> },
  InvalidModelFile,
  FileSystem.FileSystem | Path.Path
> {
  if (/\.onnx$/i.test(file)) return file
  const source = yield* openFile(file)
  const { kind, parts: [part], problem } = contentsOf(source.tensors)
  const graphOf = part && graphs[part.network]
  if (problem !== undefined || part === undefined || graphOf === undefined) {
    const message = problem ?? `it holds no upscaler, but a file of the kind "${kind}"`
    return yield* new InvalidModelFile({ file, problems: [{ path: "", message }] })
  }
  return { file, graph: yield* fitting(file, () => graphOf(Weights.of(source, part.prefix)).file()) }
})
