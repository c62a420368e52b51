/**
 * The settings of a server, as clients of stable-diffusion-webui read and write them.
 *
 * Settings with an effect are the process's `Options`; the webui's others are only stored. Both are saved in a file, if
 * there is one: it is validated when it is read, and replaced as a whole when a setting changes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { Problem } from "../../core/Problem.ts"
import type { SaveError } from "../../images/ImageError.ts"
import { InvalidOptions, Options, type OptionsSnapshot } from "../../processing/Options.ts"
import { findModel, ModelTitles } from "./ModelTitles.ts"
import * as OptionsFile from "./OptionsFile.ts"
import { divide, isActive, isExplanation, type Values } from "./SettingsPatch.ts"

/** The webui's defaults where they differ from those of the command line. */
const serverDefaults = { grid_save: true, return_grid: true, show_progress_every_n_steps: 10 } as const

export class Settings extends Context.Service<Settings, {
  /** Every setting with its value, in the order of the webui's list. */
  readonly all: Effect.Effect<Values>
  /** Changes some settings and saves them. Fails with every problem named; then nothing has changed. */
  readonly set: (patch: Values) => Effect.Effect<void, InvalidOptions | SaveError>
  /** The `override_settings` of a request that have an effect, as `Options` has them. Ignores the webui's others. */
  readonly overrides: (patch: Values) => Effect.Effect<Values, InvalidOptions>
}>()("serena/server/host/Settings") {
  static readonly layer = (options: SettingsOptions = {}): Layer.Layer<
    Settings,
    InvalidOptions,
    FileSystem.FileSystem | ModelTitles | Options | Path.Path
  > => Layer.effect(Settings, make(options))
}

interface SettingsOptions {
  /** File that holds the settings. By default they are in memory only. */
  readonly file?: string | undefined
  /** The value of `api_enable_requests`. */
  readonly fetchesUrls?: boolean | undefined
  /** Settings that are accepted and stored but have no effect, with their defaults. */
  readonly inactive?: Values | undefined
}

/** What the server stores besides `Options`. */
interface Stored {
  /** The webui's other settings, and foreign ones of the file. */
  readonly inactive: Values
  /** The selected model as a client wrote it, and its name. */
  readonly model: { readonly written: string; readonly name: string } | undefined
}

const make = Effect.fnUntraced(function*({ fetchesUrls = false, file, inactive = {} }: SettingsOptions) {
  const live = yield* Options
  const titles = yield* ModelTitles
  const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  const lock = yield* Semaphore.make(1)
  const stored = yield* Ref.make<Stored>({ inactive: {}, model: undefined })

  // Finds a model's name from any way to write it; an empty name stands for the first model.
  const modelNamed = Effect.fnUntraced(function*(written: unknown) {
    if (written === null || written === "" || written === "None") return Option.some("")
    if (typeof written !== "string") return Option.none<string>()
    return Option.map(findModel(yield* titles.list, yield* titles.hashes, written), ({ name }) => name)
  })

  // Applies the active half of a patch, or reports its problems together with those of the other half.
  const apply = Effect.fnUntraced(function*(active: Values, problems: ReadonlyArray<Problem>) {
    const decoded = yield* Effect.result(Options.decode(active))
    const all = [...problems, ...(Result.isFailure(decoded) ? decoded.failure.problems : [])]
    if (all.length > 0) return yield* new InvalidOptions({ problems: all })
    yield* live.set(active)
  })

  const change = Effect.fnUntraced(function*(patch: Values) {
    const divided = divide(patch, inactive, yield* live.snapshot)
    if (!(checkpoint in divided.active)) {
      yield* apply(divided.active, divided.problems)
      return yield* Ref.update(stored, (now) => ({ ...now, inactive: { ...now.inactive, ...divided.inactive } }))
    }
    const { [checkpoint]: written, ...others } = divided.active
    const model = yield* modelNamed(written)
    if (Option.isNone(model)) {
      const known = (yield* titles.list).map(({ name }) => name).join(", ")
      const message = `model ${pythonText(written)} not found. Known: ${known}`
      return yield* apply(others, [...divided.problems, { path: checkpoint, message }])
    }
    yield* apply({ ...divided.active, [checkpoint]: model.value }, divided.problems)
    yield* Ref.update(stored, (now): Stored => ({
      inactive: { ...now.inactive, ...divided.inactive },
      model: typeof written === "string" ? { written, name: model.value } : undefined
    }))
  })

  const save = Effect.fnUntraced(function*(file: string) {
    const snapshot = yield* live.snapshot
    const changed = Object.entries(snapshot).filter(([name, value]) => Reflect.get(Options.defaults, name) !== value)
    const { inactive } = yield* Ref.get(stored)
    yield* Effect.provideContext(OptionsFile.write(file, { ...Object.fromEntries(changed), ...inactive }), services)
  })

  const load = Effect.fnUntraced(function*(file: string) {
    const read = Object.entries(yield* Effect.provideContext(OptionsFile.read(file), services))
    const isKnown = (name: string) => isActive(name) || Object.hasOwn(inactive, name)
    // Settings of other programs and versions stay in the file.
    const foreign = read.filter(([name]) => !isKnown(name) && !isExplanation(name))
    if (foreign.length > 0) {
      yield* Effect.logWarning(`${file} has settings without an effect: ${foreign.map(([name]) => name).join(", ")}`)
    }
    const { active, inactive: others, problems } = divide(
      Object.fromEntries(read.filter(([name]) => isKnown(name))),
      inactive
    )
    yield* Effect.mapError(
      apply(
        checkpoint in active ? { ...active, [checkpoint]: yield* presentModel(file, active[checkpoint]) } : active,
        problems
      ),
      ({ problems }) =>
        new InvalidOptions({ problems: problems.map(({ message, path }) => ({ path: `${file}: ${path}`, message })) })
    )
    yield* Ref.update(stored, (now) => ({ ...now, inactive: { ...Object.fromEntries(foreign), ...others } }))
  })

  // A model can disappear between two starts. The first one then takes its place.
  const presentModel = Effect.fnUntraced(function*(file: string, written: unknown) {
    const model = yield* modelNamed(written)
    if (Option.isNone(model)) {
      yield* Effect.logWarning(`${file} names a model that was not found; the first one is used`)
    }
    return Option.getOrElse(model, () => "")
  })

  const all = Effect.gen(function*() {
    const snapshot = yield* live.snapshot
    const { inactive: values, model } = yield* Ref.get(stored)
    const current = yield* titles.ofName(snapshot.sd_model_checkpoint)
    return {
      // The order of the webui's list: names keep the place of their first appearance.
      ...snapshot,
      ...inactive,
      ...values,
      ...snapshot,
      sd_model_checkpoint: model?.name === snapshot.sd_model_checkpoint ? model.written : current?.title ?? null,
      sd_checkpoint_hash: current?.hash ?? "",
      api_enable_requests: fetchesUrls,
      api_forbid_local_requests: true
    }
  })

  const overrides = Effect.fnUntraced(function*(patch: Values) {
    const { active, problems } = divide(patch, inactive, yield* live.snapshot)
    if (problems.length > 0) return yield* new InvalidOptions({ problems })
    if (!(checkpoint in active)) return active
    // As in the webui, an unknown model leaves the present one selected.
    const { [checkpoint]: written, ...others } = active
    const name = Option.getOrElse(yield* modelNamed(written), () => "")
    return name === "" ? others : { ...active, [checkpoint]: name }
  })

  yield* live.set(unsetDefaults(yield* live.snapshot))
  if (file !== undefined) yield* load(file)

  return Settings.of({
    all,
    set: (patch) => lock.withPermits(1)(Effect.andThen(change(patch), file === undefined ? Effect.void : save(file))),
    overrides
  })
})

const checkpoint = "sd_model_checkpoint"

// The server's defaults for settings that the command line left at theirs.
const unsetDefaults = (snapshot: OptionsSnapshot): Values =>
  Object.fromEntries(
    Object.entries(serverDefaults).filter(([name]) =>
      Reflect.get(snapshot, name) === Reflect.get(Options.defaults, name)
    )
  )

const pythonText = (value: unknown): string =>
  typeof value === "string" ? `'${value}'` : JSON.stringify(value) ?? "None"
