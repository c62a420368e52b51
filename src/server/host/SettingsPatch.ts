/**
 * A change of settings as clients of stable-diffusion-webui send it, divided into the settings that have an effect here
 * and the webui's others, with the problems of each.
 */
import type { Problem } from "../../core/Problem.ts"
import { proposer } from "../../core/Text.ts"
import { Options } from "../../processing/Options.ts"
import { OptionsSnapshot } from "../../processing/OptionsSnapshot.ts"

export type Values = Readonly<Record<string, unknown>>

/** A patch with its values in the types of the settings. */
export interface SettingsPatch {
  /** Settings with an effect, to be validated by `Options`. */
  readonly active: Values
  /** The webui's other settings, which are only stored. */
  readonly inactive: Values
  readonly problems: ReadonlyArray<Problem>
}

/** Settings that only the process itself sets. */
const fixed: ReadonlySet<string> = new Set([
  "api_enable_requests",
  "api_forbid_local_requests",
  "api_useragent",
  "sd_checkpoint_hash"
])

/** Whether a setting has an effect here. */
export const isActive = (name: string): boolean => Object.hasOwn(OptionsSnapshot.fields, name)

/** Whether a name is that of an explanatory text of the webui's settings page. */
export const isExplanation = (name: string): boolean => /_explanation\d*$|^(?:div|section|reload|restart)_/.test(name)

/**
 * Divides a patch.
 *
 * @param inactive The webui's settings without an effect, with their defaults.
 * @param inForce The current settings, for a patch from the network, which must not choose folders outside its own.
 */
export const divide = (patch: Values, inactive: Values, inForce?: Values | OptionsSnapshot): SettingsPatch => {
  const active: Record<string, unknown> = {}
  const others: Record<string, unknown> = {}
  const problems: Array<Problem> = []
  let unnamed = 0
  const propose = proposer([...Object.keys(OptionsSnapshot.fields), ...Object.keys(inactive)])
  for (const [name, value] of Object.entries(patch)) {
    if (fixed.has(name) || isExplanation(name)) continue
    if (inForce !== undefined && leavesFolder(name, value) && value !== Reflect.get(inForce, name)) {
      problems.push({ path: name, message: "a folder that is set over the network must be below the server's own" })
    }
    if (isActive(name)) {
      active[name] = translated(name, typed(value, Reflect.get(Options.defaults, name)))
    } else if (Object.hasOwn(inactive, name)) {
      const like = inactive[name]
      const given = typed(value, like)
      if (isLike(given, like)) others[name] = given
      else {problems.push({
          path: name,
          message: `expected ${kindOf(like)}, got ${JSON.stringify(value)?.slice(0, 40)}`
        })}
    } else if (problems.length < mostProblems) problems.push({ path: name, message: unknownSetting(propose(name)) })
    else unnamed++
  }
  if (unnamed > 0) problems.push({ path: "", message: `${unnamed} more names are no setting's` })
  return { active, inactive: others, problems }
}

/** Unknown names that are reported one by one. */
const mostProblems = 100

const unknownSetting = (near: string | undefined): string =>
  `no setting has this name${near === undefined ? "" : `; did you mean "${near}"?`}`

// The user who starts the server may save anywhere; over the network, only folders below the working directory.
const leavesFolder = (name: string, value: unknown): boolean =>
  name.startsWith("outdir_") && typeof value === "string" &&
  (/^(?:[\\/~]|[a-zA-Z]:)/.test(value) || value.split(/[\\/]/).includes("..") || value.includes("\0"))

// Numbers and flags that forms send as text.
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

// Values of the webui under their names here.
const translated = (name: string, value: unknown): unknown => {
  if (name === "show_progress_type" && value === "Approx NN") return "Approx cheap"
  if (name === "show_progress_every_n_steps" && value === -1) return Number.MAX_SAFE_INTEGER
  return value
}
