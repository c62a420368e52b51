/**
 * Where a file belongs in a models folder: into the subfolder for its kind, if the folder has the layout of the webui
 * or of ComfyUI, and else into the folder itself.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { Kind } from "../checkpoint/contents.ts"

/** Kinds of files, and diffusers folders. */
export type Placed = Kind | "diffusers"

type Layout = Readonly<Partial<Record<Placed, string>>>

/** Subfolders by kind. A layout is recognised by the one for checkpoints. */
const layouts: ReadonlyArray<Layout> = [
  {
    checkpoint: "Stable-diffusion",
    unet: "Stable-diffusion",
    diffusers: "Stable-diffusion",
    vae: "VAE",
    "text-encoder": "text_encoder",
    lora: "Lora",
    embedding: "../embeddings",
    controlnet: "ControlNet",
    "t2i-adapter": "ControlNet",
    taesd: "VAE-approx",
    upscaler: "ESRGAN"
  },
  {
    checkpoint: "checkpoints",
    unet: "diffusion_models",
    diffusers: "diffusers",
    "diffusion-transformer": "diffusion_models",
    vae: "vae",
    "text-encoder": "text_encoders",
    lora: "loras",
    embedding: "embeddings",
    controlnet: "controlnet",
    "t2i-adapter": "controlnet",
    taesd: "vae_approx",
    upscaler: "upscale_models"
  }
]

/** The subfolder of a models folder for each kind; the folder itself where it has neither layout. */
export const placesIn = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<
  { readonly of: (kind: Placed) => string; readonly all: ReadonlyArray<string> },
  never,
  FileSystem.FileSystem | Path.Path
> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = yield* Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => [])
  const layout: Layout = layouts.find(({ checkpoint = "" }) => names.includes(checkpoint)) ?? {}
  return {
    of: (kind) => path.resolve(folder, layout[kind] ?? "."),
    all: [...new Set([".", ...Object.values(layout)])].map((name) => path.resolve(folder, name))
  }
})
