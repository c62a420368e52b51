/**
 * Upscaling networks in the models folders, in addition to the upscalers that need no network.
 *
 * A network is named after its file. The folders are searched at each use, and a network is open only while it is used;
 * its memory is freed afterwards.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { make, type NetworkUpscaler, Upscalers } from "../images/Upscalers.ts"
import { ModelLibrary } from "./ModelLibrary.ts"
import { Networks } from "./Networks.ts"
import * as OnnxUpscaler from "./OnnxUpscaler.ts"

/** The upscalers, with the networks found. */
export const layer: Layer.Layer<
  Upscalers,
  never,
  ModelLibrary | Networks | FileSystem.FileSystem | Path.Path
> = Layer.effect(
  Upscalers,
  Effect.gen(function*() {
    const { list } = yield* ModelLibrary
    const path = yield* Path.Path
    const services = Context.pick(Networks, FileSystem.FileSystem, Path.Path)(
      yield* Effect.context<Networks | FileSystem.FileSystem | Path.Path>()
    )
    // Scales of the networks that were used, by file.
    const known = new Map<string, number>()

    const upscaler = (file: string): NetworkUpscaler => {
      const { name } = path.parse(file)
      const scale = known.get(file) ?? scaleIn(name)
      return {
        entry: { name, modelName: name, path: file, scale },
        open: OnnxUpscaler.open(file, scale).pipe(
          Effect.tap((open) => Effect.sync(() => known.set(file, open.scale))),
          Effect.provideContext(services)
        )
      }
    }

    return make(
      Effect.map(
        list,
        (files) => firstOfEachName(files.filter(({ kind }) => kind === "upscaler").map(({ file }) => upscaler(file)))
      )
    )
  })
)

// The scale in a file's name, as in "4x-Name" or "Name_x2plus"; 4 is the most usual.
const scaleIn = (name: string): number => {
  const [, before, after] = /(?:^|[^a-z0-9])(?:([1-9]|16)x|x([1-9]|16))(?![0-9])/i.exec(name) ?? []
  return Number(before ?? after ?? 4)
}

const firstOfEachName = (networks: ReadonlyArray<NetworkUpscaler>): ReadonlyArray<NetworkUpscaler> => {
  const names = new Set<string>()
  return networks.filter(({ entry: { name } }) => {
    const isNew = !names.has(name)
    names.add(name)
    return isNew
  })
}
