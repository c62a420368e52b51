/**
 * The settings of a server, as clients of stable-diffusion-webui read and write them.
 *
 * Settings with an effect are the process's `Options`; the webui's others are only stored. What clients change is kept
 * in a file, if there is one: it is validated when it is read, and replaced as a whole before a change applies. The
 * command line's own settings go over those of the file, and are not kept in it.
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
import type { Problem } from "../../core/Problem.ts"
import { InvalidOptions, Options } from "../../processing/Options.ts"
import { findModel, ModelTitles } from "./ModelTitles.ts"
import * as OptionsFile from "./OptionsFile.ts"
import { divide, isActive, isExplanation, type SettingsPatch, type Values } from "./SettingsPatch.ts"

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

/** What the server stores besides `Options`. */
interface Stored {
  /** What the file holds: the settings that clients have changed, and foreign ones. */
  readonly kept: Values
  /** The selected model as a client wrote it, and its name. */
  readonly model: { readonly written: string; readonly name: string } | undefined
}

const make = Effect.fnUntraced(function*({ fetchesUrls = false, file, inactive = {} }: SettingsOptions) {
  const live = yield* Options
  const titles = yield* ModelTitles
  const lock = yield* Semaphore.make(1)
  const opened = file === undefined ? undefined : yield* OptionsFile.open(file)
  const stored = yield* Ref.make<Stored>({ kept: {}, model: undefined })

  // Finds a model's name from any way to write it; an empty name stands for the first model.
  const modelNamed = Effect.fnUntraced(function*(written: unknown) {
    if (written === null || written === "" || written === "None") return Option.some("")
    if (typeof written !== "string") return Option.none<string>()
    return Option.map(findModel(yield* titles.list, yield* titles.hashes, written), ({ name }) => name)
  })

  // Decodes the active half of a patch, or reports its problems together with those of the other half.
  const decode = Effect.fnUntraced(function*(active: Values, problems: ReadonlyArray<Problem>) {
    const decoded = yield* Effect.result(Options.decode(active))
    const all = [...problems, ...(Result.isFailure(decoded) ? decoded.failure.problems : [])]
    return Result.isSuccess(decoded) && all.length === 0
      ? decoded.success
      : yield* new InvalidOptions({ problems: all })
  })

  // The active half of a patch with the selected model by its name.
  const decodeActive = Effect.fnUntraced(function*({ active, problems }: SettingsPatch) {
    if (!(checkpoint in active)) return yield* decode(active, problems)
    const { [checkpoint]: written, ...others } = active
    const model = yield* modelNamed(written)
    if (Option.isSome(model)) return yield* decode({ ...others, [checkpoint]: model.value }, problems)
    const known = (yield* titles.list).map(({ name }) => name).join(", ")
    const message = `model ${pythonText(written)} not found. Known: ${known}`
    return yield* decode(others, [...problems, { path: checkpoint, message }])
  })

  // Saves a change, then applies it.
  const change = Effect.fnUntraced(function*(patch: Values) {
    const snapshot = yield* live.snapshot
    const { kept, model } = yield* Ref.get(stored)
    const divided = divide(patch, inactive, { ...inactive, ...kept, ...snapshot })
    const active = yield* decodeActive(divided)
    // What changes nothing is not kept: clients also send back what they have read.
    const next = {
      ...kept,
      ...changesOf({ ...active }, { ...snapshot }),
      ...changesOf(divided.inactive, { ...inactive, ...kept })
    }
    if (opened !== undefined && !isDeepStrictEqual(next, kept)) yield* opened.write(next)
    yield* live.set(active)
    const written = divided.active[checkpoint]
    yield* Ref.set(stored, {
      kept: next,
      model: checkpoint in active
        ? typeof written === "string" ? { written, name: active[checkpoint] ?? "" } : undefined
        : model
    })
  }, Effect.uninterruptible)

  // Flags go over the file: it keeps its values for a start without them.
  const load = Effect.fnUntraced(function*(file: string, values: Values, flagged: ReadonlySet<string>) {
    const read = Object.entries(values).filter(([name]) => !isExplanation(name))
    const isKnown = (name: string) => isActive(name) || Object.hasOwn(inactive, name)
    // Settings of other programs and versions stay in the file.
    const foreign = read.filter(([name]) => !isKnown(name))
    if (foreign.length > 0) {
      yield* Effect.logWarning(`${file} has settings without an effect: ${foreign.map(([name]) => name).join(", ")}`)
    }
    const divided = divide(Object.fromEntries(read.filter(([name]) => isKnown(name))), inactive)
    const { [checkpoint]: written, ...others } = divided.active
    const active = yield* Effect.mapError(
      decode(
        written === undefined ? others : { ...others, [checkpoint]: yield* presentModel(file, written) },
        divided.problems
      ),
      ({ problems }) =>
        new InvalidOptions({ problems: problems.map(({ message, path }) => ({ path: `${file}: ${path}`, message })) })
    )
    yield* live.set(Object.fromEntries(Object.entries(active).filter(([name]) => !flagged.has(name))))
    yield* Ref.update(stored, (now) => ({
      ...now,
      kept: { ...Object.fromEntries(foreign), ...divided.active, ...divided.inactive }
    }))
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
    const { kept, model } = yield* Ref.get(stored)
    const current = yield* titles.ofName(snapshot.sd_model_checkpoint)
    return {
      // The order of the webui's list: names keep the place of their first appearance.
      ...snapshot,
      ...inactive,
      ...kept,
      ...snapshot,
      sd_model_checkpoint: model?.name === snapshot.sd_model_checkpoint ? model.written : current?.title ?? null,
      sd_checkpoint_hash: current?.hash ?? "",
      api_enable_requests: fetchesUrls,
      api_forbid_local_requests: true
    }
  })

  const overrides = Effect.fnUntraced(function*(patch: Values) {
    const { kept } = yield* Ref.get(stored)
    const { active, problems } = divide(patch, inactive, { ...inactive, ...kept, ...(yield* live.snapshot) })
    if (problems.length > 0) return yield* new InvalidOptions({ problems })
    if (!(checkpoint in active)) return active
    // As in the webui, an unknown model leaves the present one selected.
    const { [checkpoint]: written, ...others } = active
    const name = Option.getOrElse(yield* modelNamed(written), () => "")
    return name === "" ? others : { ...active, [checkpoint]: name }
  })

  const given = yield* live.snapshot
  const flagged = new Set(Object.keys(changesOf({ ...given }, { ...Options.defaults })))
  yield* live.set(Object.fromEntries(Object.entries(serverDefaults).filter(([name]) => !flagged.has(name))))
  if (file !== undefined && opened !== undefined) yield* load(file, opened.values, flagged)

  return Settings.of({
    all,
    set: (patch) => lock.withPermits(1)(change(patch)),
    overrides
  })
})

const checkpoint = "sd_model_checkpoint"

// The values that differ from those in force.
const changesOf = (values: Values, inForce: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([name, value]) => !isDeepStrictEqual(value, inForce[name])))

const pythonText = (value: unknown): string =>
  typeof value === "string" ? `'${value}'` : JSON.stringify(value) ?? "None"
