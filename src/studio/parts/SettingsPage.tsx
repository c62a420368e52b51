/**
 * The server's model and main settings. Each change is saved at once.
 */
import { signal } from "@preact/signals"
import { ApiFailure, type OptionsSnapshot } from "../api.ts"
import { described, Field, ProblemOf } from "../controls/Field.tsx"
import { readNumber, SwitchControl } from "../controls/inputs.tsx"
import { alerts, setNotification, setSound } from "../state/alerts.ts"
import { models, options, selectedModel, setOptions, unavailable } from "../state/catalogue.ts"
import { settingLabelOf } from "../state/fields.ts"
import { say } from "../state/notices.ts"
import { clearProblems, showProblems } from "../state/problems.ts"

const saving = signal(false)

const save = async (name: string, value: unknown) => {
  clearProblems([name])
  saving.value = true
  try {
    await setOptions({ [name]: value })
    say("Saved.")
  } catch (error) {
    // The control shows the value in force again.
    options.value = options.value === undefined ? undefined : { ...options.value }
    if (error instanceof ApiFailure) {
      showProblems(error.problems.length > 0 ? error.problems : [{ path: name, message: error.message }], "settings")
    } else showProblems([{ path: name, message: String(error) }], "settings")
  } finally {
    saving.value = false
  }
}

type Setting =
  | { readonly kind: "flag" | "number" | "text"; readonly name: keyof OptionsSnapshot }
  | { readonly kind: "choice"; readonly name: keyof OptionsSnapshot; readonly choices: ReadonlyArray<string> }

const groups: ReadonlyArray<{ readonly title: string; readonly settings: ReadonlyArray<Setting> }> = [
  {
    title: "Previews",
    settings: [
      { kind: "flag", name: "live_previews_enable" },
      { kind: "number", name: "show_progress_every_n_steps" },
      {
        kind: "choice",
        name: "show_progress_type",
        choices: ["TAESD", "Approx cheap", "Full"]
      }
    ]
  },
  {
    title: "Saving on the server",
    settings: [
      { kind: "flag", name: "samples_save" },
      { kind: "flag", name: "enable_pnginfo" },
      { kind: "choice", name: "samples_format", choices: ["png", "jpg", "webp"] },
      { kind: "number", name: "jpeg_quality" },
      {
        kind: "text",
        name: "samples_filename_pattern"
      },
      { kind: "flag", name: "return_grid" }
    ]
  },
  {
    title: "Sampling",
    settings: [
      {
        kind: "number",
        name: "CLIP_stop_at_last_layers"
      },
      { kind: "choice", name: "unet_precision", choices: ["Automatic", "int8"] },
      { kind: "choice", name: "randn_source", choices: ["CPU", "GPU", "NV"] },
      { kind: "number", name: "eta_noise_seed_delta" },
      {
        kind: "choice",
        name: "emphasis",
        choices: ["Original", "No norm", "Ignore", "None"]
      }
    ]
  },
  {
    title: "Image to image",
    settings: [
      { kind: "flag", name: "img2img_color_correction" },
      { kind: "flag", name: "img2img_fix_steps" },
      { kind: "flag", name: "overlay_inpaint" },
      {
        kind: "text",
        name: "img2img_background_color"
      }
    ]
  }
]

const Control = ({ setting, value }: { readonly setting: Setting; readonly value: unknown }) => {
  const { kind, name } = setting
  const { hint, label } = settingLabelOf(name)
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
            <span class="hint">{hint}</span>
          </span>
        </label>
        <ProblemOf name={name} />
      </div>
    )
  }
  const common = { id: `field-${name}`, class: "input", ...described(name, true) }
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
              ? <span class="small muted">The embedded model draws simple shapes, best at 128 × 128.</span>
              : null}
          </span>
        </label>
      ))}
      {models.value.length === 0
        ? <p class="muted">The server has no models. Start it with --models-dir and a folder of models.</p>
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
        <p class="muted">
          Each change is saved at once. All but those of this browser apply to everyone who uses this server.
        </p>
      </div>
      <section class="card" aria-label="This browser">
        <h3>This browser</h3>
        <div class="settings-grid">
          <SwitchControl
            of={{
              name: "notification",
              label: "Notification when a run ends",
              hint: "While another tab or window is in front.",
              value: alerts.value.notification,
              set: (value) => void setNotification(value)
            }}
          />
          <SwitchControl
            of={{ name: "sound", label: "Sound when a run ends", value: alerts.value.sound, set: setSound }}
          />
        </div>
      </section>
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
