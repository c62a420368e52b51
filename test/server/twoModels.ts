/**
 * Two models of one server that are the same arithmetic, next to the files that its models folder holds.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { ModelNotFound } from "../../src/model/ModelError.ts"
import { isNamed, wantedBy } from "../../src/models/ModelFile.ts"
import { ModelLibrary } from "../../src/models/ModelLibrary.ts"
import { type ModelEntry, ModelProvider } from "../../src/models/ModelProvider.ts"
import { CommandOptions, type CommandOptionsPatch } from "../../src/processing/CommandOptions.ts"

const names = ["first-model", "second-model"]

const entries = names.map((name): ModelEntry => ({
  name,
  folder: `/models/${name}`,
  embedded: name === "first-model",
  format: "onnx",
  family: undefined,
  nativeSize: name === "first-model" ? { width: 128, height: 128 } : undefined,
  variant: undefined
}))

export const layerTwoModels = (model: LoadedModel, cmdOpts?: CommandOptionsPatch) => {
  const provider = Layer.succeed(ModelProvider, {
    list: Effect.succeed(entries),
    find: (written) => {
      const { name: wanted } = wantedBy(written)
      return Effect.succeed(entries.find(({ folder, name }) => isNamed({ file: folder, metadata: {}, name }, wanted)))
    },
    load: (name) =>
      names.includes(name)
        ? Effect.succeed({ ...model, name })
        : Effect.fail(new ModelNotFound({ model: name, searched: ["/models"], known: names })),
    unload: Effect.void,
    resident: Effect.succeed([])
  })
  const library: Layer.Layer<ModelLibrary> = ModelLibrary.layer.pipe(
    Layer.provide(Layer.mergeAll(CommandOptions.layer(cmdOpts), NodeFileSystem.layer, NodePath.layer))
  )
  return Layer.merge(provider, library)
}
