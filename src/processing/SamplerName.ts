/**
 * Names that editors suggest for samplers and schedules. Any other text is accepted as well: aliases, names in another
 * case, a sampler's name followed by a schedule's.
 */

/** Name of a sampler. */
export type SamplerName =
  | "DPM++ 2M"
  | "DPM++ SDE"
  | "DPM++ 2M SDE"
  | "DPM++ 2M SDE Heun"
  | "DPM++ 2S a"
  | "DPM++ 3M SDE"
  | "Euler a"
  | "Euler"
  | "LMS"
  | "Heun"
  | "DPM2"
  | "DPM2 a"
  | "DPM fast"
  | "DPM adaptive"
  | "Restart"
  | "DDIM"
  | "DDIM CFG++"
  | "PLMS"
  | "UniPC"
  | "LCM"
  | "Euler CFG++"
  | (string & {})

/** Label of a schedule. */
export type SchedulerName =
  | "Automatic"
  | "Uniform"
  | "Karras"
  | "Exponential"
  | "Polyexponential"
  | "SGM Uniform"
  | "KL Optimal"
  | "Align Your Steps"
  | "Simple"
  | "Normal"
  | "DDIM"
  | "Beta"
  | (string & {})
