/**
 * ControlNets on the command line: `--control image=pose.png,model=NAME,weight=0.8`, once for each.
 *
 * Names are those of a unit's fields, and shorter ones for the most usual.
 */
import * as Effect from "effect/Effect"
import { takenBy } from "../core/Field.ts"
import type { Problem } from "../core/Problem.ts"
import { proposer } from "../core/Text.ts"
import { ControlUnit } from "../processing/ControlUnit.ts"
import { readFile } from "./files.ts"

const fields = Object.keys(ControlUnit.fields)

const short: Readonly<Record<string, string>> = {
  start: "guidance_start",
  end: "guidance_end",
  mode: "control_mode",
  resize: "resize_mode"
}

const switches: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  yes: true,
  1: true,
  false: false,
  off: false,
  no: false,
  0: false
}

interface Given {
  readonly units: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly problems: ReadonlyArray<Problem>
}

/**
 * The units of the flags, with the bytes of their files, and problems by their paths in `control_units`.
 *
 * Fails with `UnusableFile` if a file cannot be read or has more than `largest` bytes.
 */
export const readUnits = Effect.fn("readUnits")(function*(flags: ReadonlyArray<string>, largest: number) {
  const propose = proposer([...fields, ...Object.keys(short)])
  const problems: Array<Problem> = []
  const units = yield* Effect.forEach(flags, (flag, i) =>
    Effect.gen(function*() {
      const unit: Record<string, unknown> = {}
      const fail = (name: string, message: string) => {
        problems.push({ path: `control_units.${i}${name === "" ? "" : `.${name}`}`, message })
      }
      for (const pair of partsOf(flag)) {
        const end = pair.indexOf("=")
        if (end < 0) {
          fail("", `${JSON.stringify(pair.slice(0, 80))} has no name; write image=${pair.slice(0, 80) || "file"}`)
          continue
        }
        const written = pair.slice(0, end).trim().toLowerCase().replaceAll("-", "_")
        const name = Object.hasOwn(short, written) ? short[written] ?? written : written
        const text = pair.slice(end + 1).trim()
        if (!fields.includes(name)) {
          const near = propose(written)
          fail(
            "",
            `it has no part named ${JSON.stringify(written.slice(0, 80))}${
              near === undefined ? "" : `; did you mean "${near}"?`
            }`
          )
        } else if (name in unit) fail(name, "it is given twice")
        else if (text.includes("\uFFFD")) fail(name, "it is not valid UTF-8")
        else if (text === "") fail(name, "it has no value")
        else if (name === "image" || name === "mask") unit[name] = yield* readFile(text, largest)
        else {
          const value = valueOf(name, text)
          if (value === undefined) {
            const kind = takenBy(ControlUnit, name) === "switch" ? "neither true nor false" : "not a number"
            fail(name, `${JSON.stringify(text.slice(0, 80))} is ${kind}`)
          } else unit[name] = value
        }
      }
      return unit
    }))
  const given: Given = { units, problems }
  return given
})

// A comma that no name follows is part of a value, such as a file's name.
const partsOf = (flag: string): ReadonlyArray<string> =>
  flag.split(/,(?=\s*[A-Za-z_-]+\s*=)/).map((part) => part.trim()).filter((part, _, { length }) =>
    part !== "" || length === 1
  )

const valueOf = (name: string, text: string): string | number | boolean | undefined => {
  switch (takenBy(ControlUnit, name)) {
    case "switch":
      return Object.hasOwn(switches, text.toLowerCase()) ? switches[text.toLowerCase()] : undefined
    case "integer":
    case "number":
      return Number.isFinite(Number(text)) ? Number(text) : undefined
    default:
      // Choices may be written in any case; names of models are kept.
      return name === "control_mode" || name === "resize_mode" ? text.toLowerCase() : text
  }
}
