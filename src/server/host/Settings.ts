/**
 * The settings of a server, as clients of stable-diffusion-webui read and write them.
 *
 * Those that act are the process's `Options`; the webui's others are kept beside them. Both are kept in a file, if one is
 * named: it is validated when it is read, and replaced whole when a setting changes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { Problem } from "../../core/Problem.ts"
import { nearest } from "../../core/Text.ts"
import type { SaveError } from "../../images/ImageError.ts"
import { ModelProvider } from "../../models/ModelProvider.ts"
import { InvalidOptions, Options, OptionsSnapshot } from "../../processing/Options.ts"
import { findModel, ModelTitles } from "./ModelTitles.ts"
import * as OptionsFile from "./OptionsFile.ts"

type Values = Readonly<Record<string, unknown>>

/** Where the webui's defaults are others than those of a command line. */
const serverDefaults = { grid_save: true, return_grid: true, show_progress_every_n_steps: 10 } as const

/** Settings that can only be set by whoever starts the server. */
const fixed: ReadonlySet<string> = new Set(["api_enable_requests", "api_forbid_local_requests", "api_useragent"])

export class Settings extends Context.Service<Settings, {
  /** Every setting with its value, in the order of the webui's list. */
  readonly all: Effect.Effect<Values>
  /** Changes some settings and saves them. Fails with every problem named, and then nothing is changed. */
  readonly set: (patch: Values) => Effect.Effect<void, InvalidOptions | SaveError>
  /** What of a request's `override_settings` acts, as `Options` has it. The webui's others are passed over. */
  readonly overrides: (patch: Values) => Effect.Effect<Values, InvalidOptions>
}>()("serena/server/host/Settings") {
  static readonly layer = (options: {
    /** Where settings are kept; in memory only when left out. */
    readonly file?: string | undefined
    /** The value of `api_enable_requests`. */
    readonly fetchesUrls?: boolean | undefined
    /** Settings that are accepted and kept but have no effect, with their defaults. */
    readonly inactive?: Values | undefined
  } = {}): Layer.Layer<
    Settings,
    InvalidOptions,
    FileSystem.FileSystem | ModelProvider | ModelTitles | Options | Path.Path
  > => Layer.effect(Settings, make(options))
}

const acts = (name: string): boolean => Object.hasOwn(OptionsSnapshot.fields, name)

// Texts of the settings page that stand between the settings.
const explains = (name: string): boolean => /_explanation\d*$|^(?:div|section|reload|restart)_/.test(name)

const make = Effect.fnUntraced(function*(options: {
  readonly file?: string | undefined
  readonly fetchesUrls?: boolean | undefined
  readonly inactive?: Values | undefined
}) {
  const { inactive = {} } = options
  const live = yield* Options
  const models = yield* ModelProvider
  const titles = yield* ModelTitles
  const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  const lock = yield* Semaphore.make(1)
  let kept: Values = {}
  // A model's name as it was written by whoever chose it.
  let chosen: { readonly written: string; readonly name: string } | undefined

  const entries = Effect.orElseSucceed(models.list, () => [])

  // Both halves of a patch, in the types that settings have. `within`: the settings in force, for a patch from outside.
  const sort = (patch: Values, within?: object) => {
    const acting: Record<string, unknown> = {}
    const others: Record<string, unknown> = {}
    const problems: Array<Problem> = []
    for (const [name, value] of Object.entries(patch)) {
      if (fixed.has(name) || explains(name)) continue
      const known: unknown = acts(name)
        ? Reflect.get(Options.defaults, name)
        : Object.hasOwn(inactive, name)
        ? inactive[name]
        : undefined
      if (known === undefined) {
        const near = nearest(name, [...Object.keys(OptionsSnapshot.fields), ...Object.keys(inactive)])
        problems.push({
          path: name,
          message: `no setting has this name${near === undefined ? "" : `; did you mean "${near}"?`}`
        })
      } else if (acts(name)) {
        acting[name] = translated(name, typed(value, known))
        if (within !== undefined && leavesFolder(name, acting[name]) && acting[name] !== Reflect.get(within, name)) {
          problems.push({ path: name, message: "a folder that is set over the network must be below the server's own" })
        }
      } else if (name !== "sd_checkpoint_hash") {
        const given = typed(value, known)
        if (isLike(given, known)) others[name] = given
        else {problems.push({
            path: name,
            message: `expected ${kindOf(known)}, got ${JSON.stringify(value)?.slice(0, 40)}`
          })}
      }
    }
    return { acting, others, problems }
  }

  // The name by which a model is loaded, of any of the ways in which it is written.
  const modelNamed = Effect.fnUntraced(function*(written: unknown) {
    if (written === null || written === "" || written === "None") return Option.some("")
    if (typeof written !== "string") return Option.none<string>()
    const known = yield* entries
    const hashes = yield* titles.hashes
    return Option.map(findModel(known, hashes, written), ({ name }) => name)
  })

  const set = Effect.fnUntraced(function*(patch: Values) {
    const { acting, others, problems } = sort(patch, yield* live.snapshot)
    const written = acting["sd_model_checkpoint"]
    const model = "sd_model_checkpoint" in acting ? yield* modelNamed(written) : Option.none<string>()
    if ("sd_model_checkpoint" in acting) {
      if (Option.isSome(model)) acting["sd_model_checkpoint"] = model.value
      else {
        const known = (yield* entries).map(({ name }) => name)
        problems.push({
          path: "sd_model_checkpoint",
          message: `model ${pythonText(written)} not found. Known: ${known.join(", ")}`
        })
        delete acting["sd_model_checkpoint"]
      }
    }
    // The acting half is tried out first, so that all problems are told together.
    const tried = yield* Effect.result(tryOut(acting))
    const all = [...problems, ...(Result.isFailure(tried) ? tried.failure.problems : [])]
    if (all.length > 0) return yield* new InvalidOptions({ problems: all })
    yield* live.set(acting)
    kept = { ...kept, ...others }
    if (Option.isSome(model)) {
      chosen = typeof written === "string" ? { written, name: model.value } : undefined
    }
  })

  const tryOut = (acting: Values) =>
    Effect.flatMap(live.snapshot, (before) =>
      // A layer of its own is thrown away with what it was set to.
      Effect.scoped(Effect.flatMap(
        Layer.build(Options.layer(before)),
        (context) => Context.get(context, Options).set(acting)
      )))

  const save = Effect.fnUntraced(function*() {
    if (options.file === undefined) return
    const snapshot = yield* live.snapshot
    const changed = Object.entries(snapshot).filter(([name, value]) => Reflect.get(Options.defaults, name) !== value)
    yield* OptionsFile.write(options.file, { ...Object.fromEntries(changed), ...kept }).pipe(
      Effect.provideContext(services)
    )
  })

  const untouched = Effect.map(live.snapshot, (snapshot) =>
    Object.fromEntries(
      Object.entries(serverDefaults).filter(([name]) =>
        Reflect.get(snapshot, name) === Reflect.get(Options.defaults, name)
      )
    ))
  yield* live.set(yield* untouched)

  if (options.file !== undefined) {
    const { file } = options
    const read = yield* Effect.provideContext(OptionsFile.read(file), services)
    // Settings of other programs and versions stay in the file, and are told of.
    const foreign = Object.entries(read).filter(([name]) =>
      !acts(name) && !Object.hasOwn(inactive, name) && !explains(name)
    )
    if (foreign.length > 0) {
      yield* Effect.logWarning(`${file} has settings that do nothing here: ${foreign.map(([name]) => name).join(", ")}`)
    }
    const { acting, others, problems } = sort(
      Object.fromEntries(Object.entries(read).filter(([name]) => acts(name) || Object.hasOwn(inactive, name)))
    )
    const model = yield* modelNamed(acting["sd_model_checkpoint"])
    if ("sd_model_checkpoint" in acting) {
      // Models come and go between two starts: without this one, the first is used.
      if (Option.isNone(model)) {
        yield* Effect.logWarning(`${file} names a model that is not found; the first one is used`)
      }
      acting["sd_model_checkpoint"] = Option.getOrElse(model, () => "")
    }
    const tried = yield* Effect.result(tryOut(acting))
    const all = [...problems, ...(Result.isFailure(tried) ? tried.failure.problems : [])]
    if (all.length > 0) {
      return yield* new InvalidOptions({
        problems: all.map(({ message, path }) => ({ path: `${file}: ${path}`, message }))
      })
    }
    yield* live.set(acting)
    kept = { ...Object.fromEntries(foreign), ...others }
  }

  const all = Effect.gen(function*() {
    const snapshot = yield* live.snapshot
    const current = yield* titles.ofName(snapshot.sd_model_checkpoint)
    const shown = chosen?.name === snapshot.sd_model_checkpoint ? chosen.written : current?.title ?? null
    return {
      ...snapshot,
      ...inactive,
      ...kept,
      ...snapshot,
      sd_model_checkpoint: shown,
      sd_checkpoint_hash: current?.hash ?? "",
      api_enable_requests: options.fetchesUrls === true,
      api_forbid_local_requests: true
    }
  })

  const overrides = Effect.fnUntraced(function*(patch: Values) {
    const { acting, problems } = sort(patch, yield* live.snapshot)
    if ("sd_model_checkpoint" in acting) {
      // A model that is not there is passed over, and the present one used, as in the webui.
      const model = yield* modelNamed(acting["sd_model_checkpoint"])
      if (Option.isSome(model) && model.value !== "") acting["sd_model_checkpoint"] = model.value
      else delete acting["sd_model_checkpoint"]
    }
    if (problems.length > 0) return yield* new InvalidOptions({ problems })
    return acting
  })

  return Settings.of({
    all,
    set: (patch) => lock.withPermits(1)(Effect.andThen(set(patch), save())),
    overrides
  })
})

// Whoever starts the server may write anywhere; over the network, only below the folder in which it was started.
const leavesFolder = (name: string, value: unknown): boolean =>
  name.startsWith("outdir_") && typeof value === "string" &&
  (/^(?:[\\/~]|[a-zA-Z]:)/.test(value) || value.split(/[\\/]/).includes("..") || value.includes("\0"))

const pythonText = (value: unknown): string =>
  typeof value === "string" ? `'${value}'` : JSON.stringify(value) ?? "None"

// Numbers and flags that came as text, as forms send them.
const typed = (value: unknown, like: unknown): unknown => {
  if (typeof like === "number" && typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))) {
    return Number(value)
  }
  if (typeof like === "boolean" && (value === 0 || value === 1)) return value === 1
  return value
}

const isLike = (value: unknown, like: unknown): boolean =>
  Array.isArray(like)
    ? Array.isArray(value)
    : like === null
    ? value === null || typeof value === "string"
    : typeof value === typeof like || (typeof like === "string" && value === null)

const kindOf = (like: unknown): string =>
  Array.isArray(like)
    ? "a list"
    : typeof like === "number"
    ? "a number"
    : typeof like === "boolean"
    ? "true or false"
    : "a text"

// Values of the webui that mean one of ours.
const translated = (name: string, value: unknown): unknown => {
  if (name === "show_progress_type" && (value === "Approx NN" || value === "TAESD")) return "Approx cheap"
  if (name === "show_progress_every_n_steps" && value === -1) return Number.MAX_SAFE_INTEGER
  return value
}
