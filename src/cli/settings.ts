/**
 * Settings on the command line: `--set name=value`.
 */
import * as Schema from "effect/Schema"
import { choicesOf } from "../core/Field.ts"
import type { Problem } from "../core/Problem.ts"
import { proposer } from "../core/Text.ts"
import { OptionsPatch } from "../processing/OptionsSnapshot.ts"

const names = Object.keys(OptionsPatch.fields)

/** The settings of the flags by name, where the last flag wins, and their problems. */
export const settingsOf = (
  pairs: ReadonlyArray<string>
): { readonly settings: Readonly<Record<string, unknown>>; readonly problems: ReadonlyArray<Problem> } => {
  const settings: Record<string, unknown> = {}
  const problems: Array<Problem> = []
  const propose = proposer(names)
  for (const pair of pairs) {
    const end = pair.indexOf("=")
    const name = pair.slice(0, end < 0 ? pair.length : end).trim()
    if (!names.includes(name)) {
      const near = propose(name)
      problems.push({
        path: "--set",
        message: `no setting is named ${JSON.stringify(name.slice(0, 80))}${
          near === undefined ? "" : `; did you mean "${near}"?`
        }`
      })
    } else if (end < 0) {
      problems.push({ path: "--set", message: `${name} has no value; write --set ${name}=value` })
    } else {
      settings[name] = valueOf(name, pair.slice(end + 1))
    }
  }
  return { settings, problems }
}

// Decodes each setting alone, to find out whether a text or a number is expected.
const isValue = Schema.is(OptionsPatch)

const valueOf = (name: string, text: string): unknown => {
  const choice = choicesOf(OptionsPatch, name).find((choice) => choice.toLowerCase() === text.toLowerCase())
  const json = parsed(choice ?? text)
  return isValue({ [name]: json }) || !isValue({ [name]: choice ?? text }) ? json : choice ?? text
}

const parsed = (text: string): unknown => {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return text
  }
}
