/**
 * The server's model and main settings. Each is saved as soon as it is changed.
 */
import { signal } from "@preact/signals"
import { ApiFailure, type OptionsSnapshot } from "../api.ts"
import { described, Field, ProblemOf } from "../controls/Field.tsx"
import { readNumber } from "../controls/inputs.tsx"
import { models, options, selectedModel, setOptions, unavailable } from "../state/catalogue.ts"
import { clearProblems, tell } from "../state/problems.ts"
import { say } from "../state/ui.ts"

const saving = signal(false)

const save = async (name: string, value: unknown) => {
  clearProblems([name])
  saving.value = true
  try {
    await setOptions({ [name]: value })
    say("Saved.")
  } catch (error) {
    // The control shows again what is in force.
    options.value = options.value === undefined ? undefined : { ...options.value }
    if (error instanceof ApiFailure) {
      tell(error.problems.length > 0 ? error.problems : [{ path: name, message: error.message }], "settings")
    } else tell([{ path: name, message: String(error) }], "settings")
  } finally {
    saving.value = false
  }
}

type Setting =
  | { readonly kind: "flag"; readonly name: keyof OptionsSnapshot; readonly label: string; readonly hint?: string }
  | { readonly kind: "number"; readonly name: keyof OptionsSnapshot; readonly label: string; readonly hint?: string }
  | { readonly kind: "text"; readonly name: keyof OptionsSnapshot; readonly label: string; readonly hint?: string }
  | {
    readonly kind: "choice"
    readonly name: keyof OptionsSnapshot
    readonly label: string
    readonly hint?: string
    readonly choices: ReadonlyArray<string>
  }

const groups: ReadonlyArray<{ readonly title: string; readonly settings: ReadonlyArray<Setting> }> = [
  {
    title: "Previews",
    settings: [
      { kind: "flag", name: "live_previews_enable", label: "Show previews while a picture is made" },
      { kind: "number", name: "show_progress_every_n_steps", label: "Preview after so many steps" },
      {
        kind: "choice",
        name: "show_progress_type",
        label: "How previews are made",
        hint: "Approx cheap costs next to nothing, Full decodes the whole picture.",
        choices: ["Approx cheap", "Full"]
      }
    ]
  },
  {
    title: "Saving on the server",
    settings: [
      { kind: "flag", name: "samples_save", label: "Save every picture" },
      { kind: "flag", name: "enable_pnginfo", label: "Write the settings into the file" },
      { kind: "choice", name: "samples_format", label: "File format", choices: ["png", "jpg", "webp"] },
      { kind: "number", name: "jpeg_quality", label: "Quality of JPEG and WebP", hint: "1 to 100" },
      {
        kind: "text",
        name: "samples_filename_pattern",
        label: "File names",
        hint: "For example [seed]-[prompt_spaces]; empty for the default"
      },
      { kind: "flag", name: "return_grid", label: "Give a grid of several pictures" }
    ]
  },
  {
    title: "Sampling",
    settings: [
      {
        kind: "number",
        name: "CLIP_stop_at_last_layers",
        label: "Clip skip",
        hint: "Layer of the text encoder, counted from the end"
      },
      { kind: "choice", name: "randn_source", label: "Where noise comes from", choices: ["CPU", "GPU", "NV"] },
      { kind: "number", name: "eta_noise_seed_delta", label: "Eta noise seed delta" },
      {
        kind: "choice",
        name: "emphasis",
        label: "Emphasis in prompts",
        choices: ["Original", "No norm", "Ignore", "None"]
      }
    ]
  },
  {
    title: "Image to image",
    settings: [
      { kind: "flag", name: "img2img_color_correction", label: "Keep the colours of the picture" },
      { kind: "flag", name: "img2img_fix_steps", label: "Make all steps whatever the denoising strength" },
      { kind: "flag", name: "overlay_inpaint", label: "Put back what was not masked" },
      {
        kind: "text",
        name: "img2img_background_color",
        label: "Behind transparent places",
        hint: "A colour like #ffffff"
      }
    ]
  }
]

const Control = ({ setting, value }: { readonly setting: Setting; readonly value: unknown }) => {
  const { hint, kind, label, name } = setting
  if (kind === "flag") {
    return (
      <div class="field">
        <label class="switch">
          <input
            type="checkbox"
            role="switch"
            checked={value === true}
            onChange={({ currentTarget }) => void save(name, currentTarget.checked)}
          />
          <span>
            {label}
            {hint === undefined ? null : <span class="hint">{hint}</span>}
          </span>
        </label>
        <ProblemOf name={name} />
      </div>
    )
  }
  const common = { id: `field-${name}`, class: "input", ...described(name, hint !== undefined) }
  return (
    <Field name={name} label={label} hint={hint}>
      {kind === "choice"
        ? (
          <select {...common} onChange={({ currentTarget }) => void save(name, currentTarget.value)}>
            {[...new Set([...setting.choices, String(value)])].map((choice) => (
              <option key={choice} value={choice} selected={choice === value}>{choice}</option>
            ))}
          </select>
        )
        : kind === "number"
        ? (
          <input
            {...common}
            type="number"
            value={Number(value)}
            onChange={({ currentTarget }) => void save(name, readNumber(currentTarget.value))}
          />
        )
        : (
          <input
            {...common}
            type="text"
            value={String(value ?? "")}
            onChange={({ currentTarget }) => void save(name, currentTarget.value)}
          />
        )}
    </Field>
  )
}

const Models = () => (
  <fieldset class="card">
    <legend class="unseen">Model</legend>
    <h3 aria-hidden="true">Model</h3>
    <div class="models">
      {models.value.map(({ embedded, name, title }) => (
        <label key={name} class="model">
          <input
            type="radio"
            name="model"
            checked={name === selectedModel.value?.name}
            onChange={() => void save("sd_model_checkpoint", name)}
          />
          <span>
            <strong>{title}</strong>
            {embedded
              ? <span class="small muted">Comes with Serena and draws simple shapes, best at 128 × 128.</span>
              : null}
          </span>
        </label>
      ))}
      {models.value.length === 0
        ? <p class="muted">No model is there. Start the server with --models-dir and a folder of models.</p>
        : null}
    </div>
    <ProblemOf name="sd_model_checkpoint" />
  </fieldset>
)

export const SettingsPage = () => {
  const values = new Map<string, unknown>(Object.entries(options.value ?? {}))
  return (
    <>
      <div class="page-head">
        <h2>Settings</h2>
        <p class="muted">They are the server's, for everybody who uses it. Each is saved as soon as it is changed.</p>
      </div>
      {unavailable.value === undefined ? null : <div class="alert" role="alert">{unavailable.value}</div>}
      <Models />
      {options.value === undefined ?
        null :
        groups.map(({ settings, title }) => (
          <section key={title} class="card" aria-label={title}>
            <h3>{title}</h3>
            <div class="settings-grid">
              {settings.map((setting) => (
                <Control key={setting.name} setting={setting} value={values.get(setting.name)} />
              ))}
            </div>
          </section>
        ))}
    </>
  )
}
