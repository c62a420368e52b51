/**
 * `serena models show` and `serena models verify`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { listed } from "../core/Problem.ts"
import { nearest } from "../core/Text.ts"
import * as WorkThreads from "../core/WorkThreads.ts"
import type { Contents } from "../models/checkpoint/contents.ts"
import { FileHashes, type Hashes, shortHash } from "../models/checkpoint/hashes.ts"
import { predictionOf } from "../models/checkpoint/prediction.ts"
import type { WeightSource } from "../models/checkpoint/WeightSource.ts"
import * as ModelLibrary from "../models/ModelLibrary.ts"
import { InvalidOptions } from "../processing/Options.ts"
import { findDataDir } from "./dataDir.ts"
import { UnusableFile } from "./failures.ts"
import { byFlag } from "./Flags.ts"
import { findModelsDir } from "./modelsDir.ts"
import * as ProcessFlags from "./ProcessFlags.ts"

interface InspectOptions {
  readonly modelsDir: Option.Option<string>
  readonly json: boolean
}

// The models folder and the one in the data folder; the data folder, where there is one.
const places = Effect.fnUntraced(function*({ modelsDir }: InspectOptions) {
  const path = yield* Path.Path
  const given = yield* Effect.mapError(
    findModelsDir(Option.getOrUndefined(modelsDir)),
    (problems) => new InvalidOptions({ problems: problems.map(byFlag(ProcessFlags.table)) })
  )
  const data = yield* Effect.mapError(findDataDir(undefined), (problems) => new InvalidOptions({ problems }))
  return {
    hashes: data === undefined ? undefined : path.join(data, "hashes"),
    folders: [path.resolve(given ?? "models"), ...(data === undefined ? [] : [path.join(data, "models")])]
  }
})

const hashLayer = (folder: string | undefined) => Layer.merge(FileHashes.layer(folder), WorkThreads.layer)

const gigabytes = (bytes: number): string =>
  bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : bytes < 1e9
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : `${(bytes / 1e9).toFixed(2)} GB`

// The part of a name before its last module: what is listed as one.
const groupsOf = ({ parts }: Contents, { tensors }: WeightSource) =>
  parts.map(({ naming, network, prefix }) => ({
    network,
    prefix,
    naming,
    tensors: [...tensors.keys()].filter((name) => name.startsWith(prefix)).length
  }))

/** Prints what a model, an adapter or another file of weights holds, and what that was recognised by. */
export const showModel = Effect.fn("showModel")(function*(name: string, options: InspectOptions) {
  const { folders, hashes: hashFolder } = yield* places(options)
  const files = yield* ModelLibrary.list(folders)
  yield* Effect.gen(function*() {
    const hashes = yield* FileHashes
    const known = yield* Effect.forEach(
      files,
      (file) => file.format === "file" ? hashes.known(file.file) : Effect.undefined
    )
    const named = files.filter((file, i) => ModelLibrary.isNamed(file, name, known[i]))
    if (named.length === 0) {
      const like = nearest(name, files.map((file) => file.name))
      const hint = like === undefined ? "" : ` Did you mean "${like}"?`
      return yield* new UnusableFile({
        file: name,
        reason: `nothing in ${folders.join(" and ")} has this name or hash.${hint}`
      })
    }
    for (const file of named) {
      const own = file.format === "file" ? yield* hashes.of(file.file) : undefined
      const source = file.contents === undefined ? undefined : yield* ModelLibrary.open(file)
      const prediction = file.contents === undefined || source === undefined ||
          !file.contents.parts.some(({ network }) => network === "unet")
        ? undefined
        : yield* predictionOf(source, file.contents, yield* yamlNextTo(file.file))
      const about = {
        name: file.name,
        file: file.file,
        kind: file.kind,
        family: file.contents?.family ?? null,
        variant: file.contents?.variant ?? null,
        detail: file.contents?.detail ?? null,
        why: file.contents?.why ?? [],
        prediction: prediction ?? null,
        precision: file.contents?.precision ?? [],
        size: file.size,
        hash: own === undefined ? null : shortHash(own),
        sha256: own?.sha256 ?? null,
        autoV3: own?.autoV3 ?? null,
        preview: file.preview ?? null,
        trainedWords: ModelLibrary.trainedWords(file.metadata),
        parts: file.contents === undefined || source === undefined ? [] : groupsOf(file.contents, source),
        tensors: source?.tensors.size ?? 0,
        ignored: file.contents?.ignored ?? [],
        metadata: file.metadata,
        problems: file.problems
      }
      yield* Console.log(options.json ? JSON.stringify(about) : shown(about))
    }
  }).pipe(Effect.provide(hashLayer(hashFolder)))
})

interface About extends Pick<Contents, "ignored" | "precision" | "why"> {
  readonly [name: string]: unknown
  readonly name: string
  readonly file: string
  readonly kind: string
  readonly family: string | null
  readonly variant: string | null
  readonly detail: string | null
  readonly prediction: { readonly type: string; readonly isZeroSnr: boolean; readonly why: string } | null
  readonly size: number
  readonly sha256: string | null
  readonly hash: string | null
  readonly autoV3: string | null
  readonly trainedWords: ReadonlyArray<string>
  readonly parts: ReadonlyArray<{ readonly network: string; readonly prefix: string; readonly tensors: number }>
  readonly tensors: number
  readonly metadata: Readonly<Record<string, string>>
  readonly problems: ModelLibrary.ModelFile["problems"]
}

// The text of the `.yaml` file that the webui reads next to a checkpoint.
const yamlNextTo = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.orElseSucceed(fs.readFileString(file.replace(/\.[^./\\]*$/, ".yaml")), () => undefined)
})

const longestText = 200

// A table of two columns; rows without a value are left out.
const shown = (about: About): string => {
  const { family, ignored, kind, metadata, parts, prediction, problems } = about
  const rows: ReadonlyArray<readonly [label: string, value: string | null]> = [
    ["name", about.name],
    ["file", about.file],
    ["kind", [kind, about.detail, about.variant].filter((word) => word !== null).join(", ")],
    ["family", family],
    ["because", about.why.join(", ")],
    [
      "prediction",
      prediction === null ? null : `${prediction.type}${prediction.isZeroSnr ? ", zero SNR" : ""}: ${prediction.why}`
    ],
    ["precision", about.precision.join(", ")],
    ["size", about.size === 0 ? null : gigabytes(about.size)],
    ["hash", about.hash],
    ["SHA-256", about.sha256],
    ["AutoV3", about.autoV3],
    ["words", about.trainedWords.join(", ")],
    ["tensors", about.tensors === 0 ? null : String(about.tensors)],
    ...parts.map(({ network, prefix, tensors }) =>
      ["", `${network}: ${tensors}${prefix === "" ? "" : ` below ${prefix}`}`] as const
    ),
    ...ignored.map(({ names, reason }) =>
      [
        "ignored",
        `${names.length}: ${reason}${reason === "unknown" ? ` (${names.slice(0, 5).join(", ")})` : ""}`
      ] as const
    ),
    ...Object.entries(metadata).map(([key, value]) =>
      [key, value.length > longestText ? `${value.slice(0, longestText)}...` : value] as const
    ),
    ["wrong", listed(problems)]
  ]
  const given = rows.filter(([, value]) => value !== null && value !== "")
  const width = Math.min(24, Math.max(...given.map(([label]) => label.length)))
  // Names and texts come from strangers: what would move the cursor is not printed.
  return given.map(([label, value]) => `${label.padEnd(width)}  ${value}`.replaceAll(/\p{Cc}/gu, " ")).join("\n")
}

/** Reads every file of weights whole: its header, its data, and the checksum that a hub's cache names it by. */
export const verifyModels = Effect.fn("verifyModels")(function*(options: InspectOptions) {
  const { folders, hashes: hashFolder } = yield* places(options)
  const files = yield* ModelLibrary.list(folders)
  const damaged = yield* Effect.gen(function*() {
    let damaged = 0
    for (const file of files) {
      const result = file.format === "file" ? yield* hashed(file) : { hashes: undefined, problem: undefined }
      const wrong = result.problem ?? (file.contents === undefined ? listed(file.problems) : "")
      if (wrong !== "") damaged++
      const { autoV3 = null, sha256 = null } = result.hashes ?? {}
      const line = options.json
        ? JSON.stringify({ name: file.name, file: file.file, sha256, autoV3, ok: wrong === "", problem: wrong })
        : wrong === ""
        ? `${file.file}  ${sha256 ?? "networks complete"}`
        : `${file.file}  damaged: ${wrong}`
      yield* Console.log(line)
    }
    return damaged
  }).pipe(Effect.provide(hashLayer(hashFolder)))
  if (damaged > 0) {
    return yield* new UnusableFile({
      file: folders.join(" and "),
      reason: `${damaged} of ${files.length} ${damaged === 1 ? "is" : "are"} damaged or of no format that is read. ` +
        "Download them again, or remove them."
    })
  }
})

const hashed = Effect.fnUntraced(function*({ contents, file }: ModelLibrary.ModelFile) {
  const path = yield* Path.Path
  const result: { readonly hashes: Hashes | undefined; readonly problem: string | undefined } = yield* Effect.match(
    Effect.flatMap(FileHashes, ({ of }) => of(file)),
    {
      onFailure: ({ problems }) => ({ hashes: undefined, problem: listed(problems) }),
      onSuccess: (hashes) => ({ hashes, problem: undefined })
    }
  )
  // A cache of the hub names large files by their SHA-256.
  const source = contents === undefined ? undefined : yield* Effect.option(ModelLibrary.open({ file, format: "file" }))
  const real = source?._tag === "Some" ? source.value.files[0]?.path ?? file : file
  const named = path.basename(real)
  const isOther = /^[0-9a-f]{64}$/.test(named) && result.hashes !== undefined && result.hashes.sha256 !== named
  return isOther ? { ...result, problem: "its checksum is not the one that the hub gave it" } : result
})
