/**
 * Settings that outlive a request, under stable-diffusion-webui's own names.
 *
 * A run never reads the live settings: `RuntimeContext` holds a frozen snapshot of them, with the request's
 * `override_settings` laid over. Only settings that act are listed here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { InvalidOptions, nearest, type Problem, problemsOf } from "./errors.ts"

const fields = {
  /** Name of the model to use; empty for the first one found. */
  sd_model_checkpoint: Schema.String,
  /** Whether finished pictures are written to disk. */
  samples_save: Schema.Boolean,
  /** Whether pictures of an interrupted run are written as well, unfinished as they are. */
  save_incomplete_images: Schema.Boolean,
  /** Folder for txt2img pictures; a folder for each day is made in it. */
  outdir_txt2img_samples: Schema.NonEmptyString,
  /** Where noise comes from: torch's CPU generator, or the one of NVIDIA cards. `GPU` is this machine's own: CPU. */
  randn_source: Schema.Literals(["GPU", "CPU", "NV"]),
  /** Added to the seed of every noise draw after the first, when not 0. */
  eta_noise_seed_delta: Schema.Int,
  /** Whether a run shows previews, every how many steps, and how: by the model's own matrix, or decoded in full. */
  live_previews_enable: Schema.Boolean,
  show_progress_every_n_steps: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  show_progress_type: Schema.Literals(["Approx cheap", "Full"]),
  /** Whether the infotext names the model's hash, name, and Serena's version. */
  add_model_hash_to_info: Schema.Boolean,
  add_model_name_to_info: Schema.Boolean,
  add_version_to_infotext: Schema.Boolean
}

const defaults: OptionsSnapshot = Object.freeze({
  sd_model_checkpoint: "",
  samples_save: true,
  save_incomplete_images: false,
  outdir_txt2img_samples: "outputs/txt2img-images",
  randn_source: "CPU",
  eta_noise_seed_delta: 0,
  live_previews_enable: true,
  show_progress_every_n_steps: 5,
  show_progress_type: "Approx cheap",
  add_model_hash_to_info: true,
  add_model_name_to_info: true,
  add_version_to_infotext: true
})

/** All settings, as a run sees them: frozen. */
export const OptionsSnapshot = Schema.Struct(fields).annotate({ identifier: "Options" })
export type OptionsSnapshot = typeof OptionsSnapshot.Type

/** Some settings: what `override_settings` and a change of the options hold. */
export const OptionsPatch = OptionsSnapshot.mapFields(Struct.map(Schema.optionalKey)).annotate({
  identifier: "OptionsPatch"
})
export type OptionsPatch = typeof OptionsPatch.Type

const decodePatch = Schema.decodeUnknownEffect(OptionsPatch, { errors: "all", onExcessProperty: "error" })

const names = Object.keys(fields)

// What is said of a name that no setting has.
const unknownNamed = (problem: Problem): Problem => {
  if (problem.path === "" || names.includes(problem.path)) return problem
  const near = nearest(problem.path, names)
  return { ...problem, message: `no setting has this name${near === undefined ? "" : `; did you mean "${near}"?`}` }
}

/** The live settings of this process. */
export class Options extends Context.Service<Options, {
  /** The settings of this moment, frozen. Later changes make a new object. */
  readonly snapshot: Effect.Effect<OptionsSnapshot>
  /** Changes some settings. Fails with every problem named, and then nothing is changed. */
  readonly set: (patch: unknown) => Effect.Effect<OptionsSnapshot, InvalidOptions>
}>()("serena/processing/Options") {
  /** What every setting is when nobody set it. */
  static readonly defaults = defaults

  /** `snapshot` with `patch` laid over it, frozen. */
  static readonly patched = (snapshot: OptionsSnapshot, patch: OptionsPatch): OptionsSnapshot =>
    Object.freeze({ ...snapshot, ...patch })

  /** Settings kept in memory, beginning with the defaults and `initial` over them. */
  static readonly layer = (initial: OptionsPatch = {}): Layer.Layer<Options> =>
    Layer.effect(
      Options,
      Effect.gen(function*() {
        const current = yield* Ref.make(Options.patched(defaults, initial))
        return Options.of({
          snapshot: Ref.get(current),
          set: Effect.fn("Options.set")(function*(patch) {
            const decoded = yield* decodePatch(patch).pipe(
              Effect.mapError(({ issue }) => new InvalidOptions({ problems: problemsOf(issue).map(unknownNamed) }))
            )
            return yield* Ref.updateAndGet(current, (snapshot) => Options.patched(snapshot, decoded))
          })
        })
      })
    )
}
