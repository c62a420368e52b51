/**
 * `serena models pull`.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { fileSize } from "../core/Text.ts"
import { capabilities, drawBar, eraseToEnd, formatDuration, percent } from "../instrumentation/bar.ts"
import { pull, type Pulled, type PullProgress } from "../models/hub/pull.ts"
import { hubOf, parse } from "../models/hub/reference.ts"
import { embeddedDir } from "../models/ModelLibrary.ts"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import { byFlag } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"

export interface PullInput extends ProcessFlags.Places {
  /** A repository, a file of one, or an address. */
  readonly what: string
  readonly to: Option.Option<string>
  readonly variant: Option.Option<string>
  readonly name: Option.Option<string>
  readonly json: boolean
  readonly quiet: boolean
}

const invalid = (path: string, message: string) => new InvalidOptions({ problems: [{ path, message }] })

/** Fetches a model and prints where it is. Progress and warnings go to standard error. */
export const pullModel = Effect.fn("pullModel")(function*(input: PullInput) {
  const hub = yield* Effect.mapError(
    Effect.fromResult(hubOf(process.env)),
    (message) => invalid("HF_ENDPOINT", message)
  )
  const reference = parse(input.what, hub)
  if (Result.isFailure(reference)) return yield* invalid(input.what, reference.failure)
  const folder = yield* findFolder(input)
  const display = yield* progressDisplay(input.quiet)
  const pulled = yield* pull(reference.success, {
    hub,
    folder,
    variant: Option.getOrUndefined(input.variant),
    name: Option.getOrUndefined(input.name),
    report: display.report
  }).pipe(Effect.ensuring(display.end), Effect.provide(NodeHttpClient.layerNodeHttp))
  yield* Console.log(input.json ? jsonLine(pulled) : pulled.file)
  if (input.quiet) return
  if (!pulled.isNew) yield* Console.error("It was there already, with the same checksum.")
  if (!pulled.isVerified) yield* Console.error("Warning: the server names no checksum, so only the size was compared.")
  if (pulled.problem !== "") yield* Console.error(`Warning: not usable: ${pulled.problem}.`)
}, Effect.scoped)

// `--to`, or the first models folder. The package's own folder of models is not for the user's.
const findFolder = Effect.fnUntraced(function*({ dataDir, modelsDir, to }: PullInput) {
  const path = yield* Path.Path
  if (Option.isSome(to)) return path.resolve(to.value)
  const usual = path.resolve("models")
  const isEmbedded = usual === path.resolve(embeddedDir)
  const given = { modelsDir: Option.getOrUndefined(modelsDir), dataDir: Option.getOrUndefined(dataDir) }
  const found = yield* Effect.mapError(
    ProcessFlags.findPlaces(given, isEmbedded),
    (problems) => new InvalidOptions({ problems: problems.map(byFlag(ProcessFlags.table)) })
  )
  const [named] = found.modelsDir ?? []
  if (named !== undefined) return path.resolve(named)
  if (!isEmbedded) return usual
  return found.dataDir === undefined
    ? yield* invalid("--to", "name the folder for the model")
    : path.resolve(found.dataDir, "models")
})

const jsonLine = ({ family, file, isNew, isVerified, kind, problem, sha256, size }: Pulled): string =>
  JSON.stringify({
    file,
    kind,
    family: family ?? null,
    size,
    sha256: sha256 ?? null,
    verified: isVerified,
    downloaded: isNew,
    problem: problem === "" ? null : problem
  })

/** Milliseconds between two drawings, on a terminal and elsewhere. */
const pauses = { terminal: 100, log: 2000 }

// A bar on a terminal; elsewhere a line at most every two seconds, and only after another tenth.
const progressDisplay = Effect.fnUntraced(function*(isQuiet: boolean) {
  const stdio = yield* Stdio.Stdio
  const { canAnimate, canColor } = yield* capabilities(stdio)
  const write = (text: string) => Effect.ignore(Stream.run(Stream.make(text), stdio.stderr()))
  let began: { readonly at: number; readonly received: number } | undefined
  let drawn = { at: -Infinity, share: 0 }
  let isOpen = false
  const draw = Effect.fnUntraced(function*(progress: PullProgress) {
    const now = yield* Clock.currentTimeMillis
    began ??= { at: now, received: progress.received }
    const share = progress.size === undefined || progress.size === 0 ? 0 : progress.received / progress.size
    const isLast = progress.received === progress.size
    const since = now - drawn.at
    const isWorthALine = canAnimate
      ? since >= pauses.terminal || isLast
      : now - began.at >= pauses.log && since >= pauses.log &&
        (share - drawn.share >= 0.1 || progress.size === undefined)
    if (!isWorthALine) return
    drawn = { at: now, share }
    const details = detailsOf(progress, began, now)
    if (canAnimate) {
      isOpen = true
      yield* write(`\r${drawBar(share, details, process.stderr.columns || 80, canColor)}${eraseToEnd}`)
    } else {
      yield* write(`Progress: ${[percent(share), ...details].join(", ")}\n`)
    }
  })
  return {
    report: isQuiet ? () => Effect.void : draw,
    end: Effect.suspend(() => isOpen ? write("\n") : Effect.void)
  }
})

const detailsOf = (
  { name, received, size }: PullProgress,
  began: { readonly at: number; readonly received: number },
  now: number
): ReadonlyArray<string> => {
  const rate = now > began.at ? ((received - began.received) * 1000) / (now - began.at) : 0
  return [
    name,
    size === undefined ? fileSize(received) : `${fileSize(received)} of ${fileSize(size)}`,
    ...(rate > 0 ? [`${fileSize(rate)}/s`] : []),
    ...(rate > 0 && size !== undefined && received < size ? [`${formatDuration((size - received) / rate)} left`] : [])
  ]
}
