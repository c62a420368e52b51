/**
 * `serena models show` and `serena models verify`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import { listed } from "../core/Problem.ts"
import { fileSize, nearest } from "../core/Text.ts"
import { type Contents, kinds } from "../models/checkpoint/contents.ts"
import { shortHash } from "../models/checkpoint/hashes.ts"
import { predictionOf } from "../models/checkpoint/prediction.ts"
import type { WeightSource } from "../models/checkpoint/WeightSource.ts"
import { isNamed, type ModelFile, open, trainedWords } from "../models/ModelFile.ts"
import { ModelLibrary } from "../models/ModelLibrary.ts"
import { optimisedOf } from "../models/optimise.ts"
import { cacheIn } from "../models/optimisedFiles.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import { UnusableFile } from "./failures.ts"
import { layerLibrary } from "./listModels.ts"
import type * as ProcessFlags from "./ProcessFlags.ts"
import { printable } from "./tables.ts"

interface InspectOptions extends ProcessFlags.Places {
  readonly json: boolean
}

// The part of a name before its last module: what is listed as one.
const groupsOf = ({ parts }: Contents, { tensors }: WeightSource) =>
  parts.map(({ naming, network, prefix }) => ({
    network,
    prefix,
    naming,
    tensors: [...tensors.keys()].filter((name) => name.startsWith(prefix)).length
  }))

/** Prints what a model, an adapter or another file of weights holds, and what that was recognised by. */
export const showModel = Effect.fn("showModel")(function*(name: string, { json, ...places }: InspectOptions) {
  const layer = yield* layerLibrary(places)
  yield* Effect.gen(function*() {
    const library = yield* ModelLibrary
    const files = yield* library.list
    const found = files.filter((file) => isNamed(file, name))
    const one = found.length > 0 ? undefined : yield* library.find(kinds, name)
    const named = one === undefined ? found : [one]
    if (named.length === 0) return yield* notFound(name)
    for (const file of named) {
      const about = yield* aboutFile(file)
      yield* Console.log(json ? JSON.stringify(about) : shown(about))
    }
  }).pipe(Effect.provide(layer))
})

/** Fails with where a name was looked for, and the name that is nearest. */
export const notFound = Effect.fnUntraced(function*(name: string) {
  const library = yield* ModelLibrary
  const folders = yield* library.folders
  const like = nearest(name, (yield* library.list).map((file) => file.name))
  const hint = like === undefined ? "" : ` Did you mean "${like}"?`
  const where = folders.length === 0 ? "nothing that came with Serena" : `nothing in ${folders.join(" and ")}`
  return yield* new UnusableFile({ file: name, reason: `${where} has this name or hash.${hint}` })
})

const aboutFile = Effect.fnUntraced(function*(file: ModelFile) {
  const { contents, metadata, problems } = file
  const library = yield* ModelLibrary
  // What cannot be read is said by its problems.
  const hashes = Option.getOrUndefined(yield* Effect.option(library.hashes(file)))
  const source = contents === undefined ? undefined : yield* open(file)
  const prediction = contents === undefined || source === undefined ||
      !contents.parts.some(({ network }) => network === "unet")
    ? undefined
    : yield* predictionOf(source, contents, { yaml: yield* yamlNextTo(file.file) })
  const about: About = {
    name: file.name,
    file: file.file,
    kind: file.kind,
    family: file.family ?? null,
    variant: contents?.variant ?? null,
    detail: contents?.detail ?? null,
    why: contents?.why ?? [],
    prediction: prediction ?? null,
    precision: contents?.precision ?? [],
    size: file.size,
    hash: hashes === undefined ? null : shortHash(hashes),
    sha256: hashes?.sha256 ?? null,
    autoV3: hashes?.autoV3 ?? null,
    preview: file.preview ?? null,
    trainedWords: trainedWords(metadata),
    parts: contents === undefined || source === undefined ? [] : groupsOf(contents, source),
    tensors: source?.tensors.size ?? 0,
    ignored: contents?.ignored ?? [],
    optimized: yield* optimizedOf(file),
    metadata,
    problems
  }
  return about
})

const optimizedOf = Effect.fnUntraced(function*({ file }: ModelFile) {
  const { dataDir } = yield* CommandOptions
  const networks = dataDir === undefined ? [] : yield* optimisedOf(cacheIn(dataDir), file)
  return networks.map(({ isValid, network, size }) => ({ network, size, valid: isValid }))
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
  readonly optimized: ReadonlyArray<{ readonly network: string; readonly size: number; readonly valid: boolean }>
  readonly metadata: Readonly<Record<string, string>>
  readonly problems: ModelFile["problems"]
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
    ["size", about.size === 0 ? null : fileSize(about.size)],
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
    ...about.optimized.map(({ network, size, valid }) =>
      [
        "optimized",
        `${network}: ${fileSize(size)}${valid ? "" : ", of an earlier file, version or processor: not used"}`
      ] as const
    ),
    ...Object.entries(metadata).map(([key, value]) =>
      [key, value.length > longestText ? `${value.slice(0, longestText)}...` : value] as const
    ),
    ["wrong", listed(problems)]
  ]
  const given = rows.filter(([, value]) => value !== null && value !== "")
  const width = Math.min(24, Math.max(...given.map(([label]) => label.length)))
  return given.map(([label, value]) => printable(`${label.padEnd(width)}  ${value}`)).join("\n")
}

/** Reads every file of weights whole: its header, its data, and the checksum that a hub's cache names it by. */
export const verifyModels = Effect.fn("verifyModels")(function*({ json, ...places }: InspectOptions) {
  const layer = yield* layerLibrary(places)
  yield* Effect.gen(function*() {
    const library = yield* ModelLibrary
    const files = (yield* library.list).filter(({ embedded }) => !embedded)
    let damaged = 0
    for (const file of files) {
      const { hashes, problem } = yield* verified(file)
      if (problem !== "") damaged++
      const { autoV3 = null, sha256 = null } = hashes ?? {}
      const line = json
        ? JSON.stringify({ name: file.name, file: file.file, sha256, autoV3, ok: problem === "", problem })
        : printable(`${file.file}  ${problem === "" ? sha256 ?? "" : `damaged: ${problem}`}`)
      yield* Console.log(line)
    }
    if (damaged > 0) {
      return yield* new UnusableFile({
        file: (yield* library.folders).join(" and "),
        reason: `${damaged} of ${files.length} ${damaged === 1 ? "is" : "are"} damaged or of no format that is read. ` +
          "Download them again, or remove them."
      })
    }
  }).pipe(Effect.provide(layer))
})

const verified = Effect.fnUntraced(function*(model: ModelFile) {
  const { contents, file, format, problems } = model
  const path = yield* Path.Path
  const hashed = yield* Effect.result((yield* ModelLibrary).hashes(model))
  if (Result.isFailure(hashed)) return { hashes: undefined, problem: listed(hashed.failure.problems) }
  const hashes = hashed.success
  if (contents === undefined) return { hashes, problem: listed(problems) }
  // A cache of the hub names large files by their SHA-256.
  const source = format === "file" ? yield* Effect.option(open(model)) : Option.none()
  const named = path.basename(
    Option.match(source, { onNone: () => file, onSome: ({ files }) => files[0]?.path ?? file })
  )
  const isOther = /^[0-9a-f]{64}$/.test(named) && hashes.sha256 !== named
  return { hashes, problem: isOther ? "its checksum is not the one that the hub gave it" : "" }
})
