/**
 * What `serena doctor` finds.
 */
export interface Finding {
  /** What was looked at. */
  readonly check:
    | "clock"
    | "data folder"
    | "database"
    | "device"
    | "disk"
    | "memory"
    | "models"
    | "node"
    | "processors"
    | "runs"
    | "settings"
  /** A warning is for what works, though not well; a problem for what does not work. */
  readonly level: "ok" | "problem" | "warning"
  /** What there is, as a phrase without a full stop. */
  readonly found: string
  /** What to do, in sentences; undefined where nothing is to be done. */
  readonly advice?: string | undefined
}

export const ok = (check: Finding["check"], found: string): Finding => ({ check, level: "ok", found })

export const warning = (check: Finding["check"], found: string, advice: string): Finding => ({
  check,
  level: "warning",
  found,
  advice
})

export const problem = (check: Finding["check"], found: string, advice: string): Finding => ({
  check,
  level: "problem",
  found,
  advice
})
