/**
 * The settings of a server, as clients of stable-diffusion-webui read and write them.
 *
 * Settings with an effect are the process's `Options`; the webui's others are only stored. What clients change is kept
 * in a file, if there is one: it is validated when it is read, and replaced as a whole before a change applies. The
 * command line's own settings go over those of the file, and are not kept in it. `SettingsState` decides what a change
 * does; this service applies it.
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
import { isDeepStrictEqual } from "node:util"
import type { SettingsNotSaved } from "../../contract/errors.ts"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"
import { Options } from "../../processing/Options.ts"
import { ModelTitles } from "./ModelTitles.ts"
import * as OptionsFile from "./OptionsFile.ts"
import { divide, type SettingsPatch, type Values } from "./SettingsPatch.ts"
import * as SettingsState from "./SettingsState.ts"

/** The webui's defaults where they differ from those of the command line. */
const serverDefaults = { grid_save: true, return_grid: true, show_progress_every_n_steps: 10 } as const

export class Settings extends Context.Service<Settings, {
  /** Every setting with its value, in the order of the webui's list. */
  readonly all: Effect.Effect<Values>
  /** Saves a change of settings, then applies it. Fails with every problem named; then nothing has changed. */
  readonly set: (patch: Values) => Effect.Effect<void, InvalidOptions | SettingsNotSaved>
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

/** What the service works with. */
interface Shell {
  readonly live: Options["Service"]
  readonly titles: ModelTitles["Service"]
  readonly inactive: Values
  readonly stored: Ref.Ref<SettingsState.SettingsState>
}

const make = Effect.fnUntraced(function*({ fetchesUrls = false, file, inactive = {} }: SettingsOptions) {
  const live = yield* Options
  const lock = yield* Semaphore.make(1)
  const opened = file === undefined ? undefined : yield* OptionsFile.open(file)
  const shell: Shell = { live, titles: yield* ModelTitles, inactive, stored: yield* Ref.make(SettingsState.empty) }

  const flagged = new Set(Object.keys(SettingsState.changesOf({ ...yield* live.snapshot }, { ...Options.defaults })))
  yield* live.set(SettingsState.unflagged(serverDefaults, flagged))
  if (file !== undefined && opened !== undefined) yield* load(shell, file, opened.values, flagged)

  return Settings.of({
    all: all(shell, fetchesUrls),
    set: (patch) => lock.withPermits(1)(change(shell, opened, patch)),
    overrides: (patch) => overrides(shell, patch)
  })
})

// Finds a model's name from any way to write it; an empty name stands for the first model.
const modelNamed = Effect.fnUntraced(function*({ titles }: Shell, written: unknown) {
  if (written === null || written === "" || written === "None") return Option.some("")
  if (typeof written !== "string") return Option.none<string>()
  return Option.map(yield* titles.find(written), ({ name }) => name)
})

// Decodes the active half of a patch, or reports its problems together with those of the other half.
const decode = Effect.fnUntraced(function*({ active, problems }: SettingsPatch) {
  const decoded = yield* Effect.result(Options.decode(active))
  const all = [...problems, ...(Result.isFailure(decoded) ? decoded.failure.problems : [])]
  return Result.isSuccess(decoded) && all.length === 0
    ? decoded.success
    : yield* new InvalidOptions({ problems: all })
})

// A patch with the selected model by its name.
const named = Effect.fnUntraced(function*(shell: Shell, patch: SettingsPatch) {
  if (!(SettingsState.checkpoint in patch.active)) return patch
  const model = yield* modelNamed(shell, patch.active[SettingsState.checkpoint])
  const known = Option.isSome(model) ? [] : yield* shell.titles.list
  return SettingsState.withModel(patch, model, known.map(({ name }) => name))
})

// Saves a change, then applies it.
const change = Effect.fnUntraced(
  function*(shell: Shell, opened: OptionsFile.OptionsFile | undefined, patch: Values) {
    const { inactive, live, stored } = shell
    const state = yield* Ref.get(stored)
    const current = SettingsState.inForce(state, inactive, yield* live.snapshot)
    const divided = divide(patch, inactive, current)
    const active = yield* decode(yield* named(shell, divided))
    const next = SettingsState.changed(state, { active, divided }, current)
    if (opened !== undefined && !isDeepStrictEqual(next.kept, state.kept)) yield* opened.write(next.kept)
    yield* live.set(active)
    yield* Ref.set(stored, next)
  },
  Effect.uninterruptible
)

/**
 * Reads a file as a server does that starts with it, and changes nothing. Fails with every problem named. That a model
 * is not there is none: the server takes the first one then.
 */
export const checkFile = Effect.fn("Settings.checkFile")(function*(file: string, inactive: Values) {
  const { divided } = SettingsState.ofFile(yield* OptionsFile.read(file), inactive)
  yield* decode(SettingsState.withModel(divided, Option.some(""), []))
})

const load = Effect.fnUntraced(
  function*(shell: Shell, file: string, values: Values, flagged: ReadonlySet<string>) {
    const read = SettingsState.ofFile(values, shell.inactive)
    const foreign = Object.keys(read.foreign)
    if (foreign.length > 0) yield* Effect.logWarning(`${file} has settings without an effect: ${foreign.join(", ")}`)
    const active = yield* Effect.mapError(
      decode(yield* present(shell, file, read.divided)),
      ({ problems }) =>
        new InvalidOptions({ problems: problems.map(({ message, path }) => ({ path: `${file}: ${path}`, message })) })
    )
    yield* shell.live.set(SettingsState.unflagged({ ...active }, flagged))
    yield* Ref.update(shell.stored, (state) => SettingsState.loaded(state, read))
  }
)

// A model can disappear between two starts. The first one then takes its place.
const present = Effect.fnUntraced(function*(shell: Shell, file: string, patch: SettingsPatch) {
  const written = patch.active[SettingsState.checkpoint]
  if (written === undefined) return patch
  const model = yield* modelNamed(shell, written)
  if (Option.isNone(model)) {
    yield* Effect.logWarning(`${file} names a model that was not found; the first one is used`)
  }
  return SettingsState.withModel(patch, Option.orElseSome(model, () => ""), [])
})

const all = Effect.fnUntraced(function*({ inactive, live, stored, titles }: Shell, fetchesUrls: boolean) {
  const snapshot = yield* live.snapshot
  const state = yield* Ref.get(stored)
  const current = yield* titles.ofName(snapshot.sd_model_checkpoint)
  const values: Values = {
    ...SettingsState.inForce(state, inactive, snapshot),
    sd_model_checkpoint: SettingsState.writtenModel(state, snapshot.sd_model_checkpoint) ?? current?.title ?? null,
    sd_checkpoint_hash: current?.hash ?? "",
    api_enable_requests: fetchesUrls,
    api_forbid_local_requests: true
  }
  return values
})

const overrides = Effect.fnUntraced(function*(shell: Shell, patch: Values) {
  const { inactive, live, stored } = shell
  const current = SettingsState.inForce(yield* Ref.get(stored), inactive, yield* live.snapshot)
  const { active, problems } = divide(patch, inactive, current)
  if (problems.length > 0) return yield* new InvalidOptions({ problems })
  if (!(SettingsState.checkpoint in active)) return active
  return SettingsState.overriding(active, yield* modelNamed(shell, active[SettingsState.checkpoint]))
})
