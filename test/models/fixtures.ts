/** Model folders for tests: the embedded one, and broken copies of it. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { fileURLToPath } from "node:url"
import { ModelLibrary } from "../../src/models/ModelLibrary.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { Networks } from "../../src/models/Networks.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"

export const embedded = fileURLToPath(new URL("../../models/shapes-128", import.meta.url))

export const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

export const layerModels = (cmdOpts: Partial<CommandOptions["Service"]> = {}) =>
  ModelProvider.layer.pipe(
    Layer.provideMerge(ModelLibrary.layer),
    Layer.provideMerge(Networks.layer),
    Layer.provideMerge(CommandOptions.layer(cmdOpts)),
    Layer.provideMerge(platform)
  )

/** A copy of the embedded model in a temporary folder, which `change` may break. */
export const brokenCopy = Effect.fnUntraced(function*<E, R>(
  change: (folder: string) => Effect.Effect<void, E, R>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = path.join(yield* fs.makeTempDirectoryScoped(), "broken")
  for (const part of ["text_encoder", "unet", "vae_decoder", "scheduler", "tokenizer"]) {
    yield* fs.copy(path.join(embedded, part), path.join(folder, part))
  }
  yield* fs.copyFile(path.join(embedded, "model_index.json"), path.join(folder, "model_index.json"))
  yield* change(folder)
  return folder
})
