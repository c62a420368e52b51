/**
 * A checkpoint with what lies next to it: its description, its folder's tokenizers.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type { ClipReading } from "../families/Family.ts"
import type { InvalidModelFile, NetworkError } from "../model/ModelError.ts"
import type { Vocabulary } from "../prompt/Chunks.ts"
import { filesOfFolder, openFile, openFolder } from "./checkpoint/sources.ts"
import type { WeightSource } from "./checkpoint/WeightSource.ts"
import * as files from "./configFiles.ts"
import { readText } from "./folderFiles.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** A checkpoint's tensors, and what lies next to its file. */
export interface Checkpoint {
  readonly name: string
  /** The file or folder that errors name. */
  readonly file: string
  readonly source: WeightSource
  /** The file of its VAE; absent for its own. */
  readonly vae?: string | undefined
  /** What its UNet predicts, where a user says it. */
  readonly prediction?: "epsilon" | "v_prediction" | undefined
  /** Text of the `.yaml` file of its name. */
  readonly yaml?: string | undefined
  /** What its folder's scheduler says of its noise; absent for a single file. */
  readonly scheduler?: typeof files.SchedulerConfig.Type | undefined
  /** The `config.json` of each of its folder's networks, by the network's folder; absent for a single file. */
  readonly configs?: ReadonlyMap<string, unknown> | undefined
  /** Its own tokenizer for a text encoder; CLIP's without one. */
  readonly vocabulary?:
    | ((place: number, padding: ClipReading["padding"]) => Effect.Effect<Vocabulary, NetworkError> | undefined)
    | undefined
}

type Services = FileSystem.FileSystem | Path.Path

/** Reads a checkpoint's file or diffusers folder; undefined for a folder of exported networks. */
export const read = Effect.fnUntraced(function*(
  place: string
): Effect.fn.Return<Checkpoint | undefined, InvalidModelFile, Services> {
  const fs = yield* FileSystem.FileSystem
  const stat = yield* Effect.option(fs.stat(place))
  if (Option.isSome(stat) && stat.value.type === "File") return yield* readFile(place)
  return (yield* filesOfFolder(place)).has("unet") ? yield* readFolder(place) : undefined
})

const readFile = Effect.fnUntraced(function*(file: string): Effect.fn.Return<Checkpoint, InvalidModelFile, Services> {
  const path = yield* Path.Path
  const { dir, name } = path.parse(file)
  const yaml = yield* Effect.option(readText(path.join(dir, `${name}.yaml`)))
  return {
    name,
    file,
    source: yield* openFile(file),
    yaml: Option.getOrUndefined(yaml)
  }
})

const readFolder = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<Checkpoint, InvalidModelFile, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const provided = <A, E>(effect: Effect.Effect<A, E, Services>) =>
    effect.pipe(Effect.provideService(FileSystem.FileSystem, fs), Effect.provideService(Path.Path, path))
  const source = yield* openFolder(folder)
  const scheduler = yield* Effect.option(
    files.readJson(path.join(folder, "scheduler/scheduler_config.json"), files.SchedulerConfig)
  )
  const networkConfigs = yield* Effect.forEach(
    ["unet", "vae", "text_encoder", "text_encoder_2"],
    (part) =>
      Effect.map(
        Effect.option(files.readJson(path.join(folder, part, "config.json"), Schema.Unknown)),
        (config) => [part, Option.getOrUndefined(config)] as const
      )
  )
  // The refiner has the second tokenizer alone.
  const parts = yield* Effect.filter(
    ["tokenizer", "tokenizer_2"],
    (part) => Effect.orElseSucceed(fs.exists(path.join(folder, part)), () => false)
  )
  const configs = yield* Effect.forEach(
    parts,
    (part) => Effect.option(files.readJson(path.join(folder, part, "tokenizer_config.json"), files.TokenizerConfig))
  )
  return {
    name: path.basename(folder),
    file: folder,
    source,
    scheduler: Option.getOrUndefined(scheduler),
    configs: new Map(networkConfigs.filter(([, config]) => config !== undefined)),
    vocabulary: (place, padding) => {
      const [part, config] = [parts[place], configs[place]]
      if (part === undefined || config === undefined || Option.isNone(config)) return undefined
      return provided(Tokenizer.read({
        owner: folder,
        part,
        folder: path.join(folder, part),
        config: config.value,
        padding
      }))
    }
  }
})
