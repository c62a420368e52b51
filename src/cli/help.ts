/**
 * Help as text, wrapped at the width of the terminal, with commands that can be pasted.
 */
import type { ArgDoc, FlagDoc, HelpDoc } from "effect/cli/HelpDoc"
import * as Option from "effect/Option"

export interface Layout {
  /** Columns of the terminal. */
  readonly width: number
  readonly colors: boolean
  /** How this command was started: `serena`, or `npx serena`. */
  readonly command: string
}

/** Narrower terminals are written to as if they had this many columns. */
const least = 40
/** A longer name has a line of its own. */
const widestName = 34

interface Row {
  readonly name: string
  readonly text: string
}

/** The help of a command. No line is longer than the terminal is wide, except a long name or an example. */
export const helpText = (doc: HelpDoc, { colors, command, width }: Layout): string => {
  const columns = Math.max(least, width)
  const style = (code: number) => (text: string) => colors ? `\u001B[${code}m${text}\u001B[0m` : text
  const [bold, dim, green, cyan] = [style(1), style(2), style(32), style(36)]
  const pasted = (text: string) => text.replace(/(?<![\w/.-])serena(?= [\w<-])/g, command)
  const paragraph = (text: string, start = "  ") =>
    wrapped(text, columns - start.length).map((line) => `${start}${line}`)

  const section = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
    lines.length === 0 ? [] : [bold(title), ...lines, ""]
  const table = (rows: ReadonlyArray<Row>, color = green): ReadonlyArray<string> => {
    const name = Math.max(0, ...rows.map(({ name }) => name.length).filter((length) => length <= widestName))
    // Next to the names, or below them where that leaves less than half of the line.
    const column = name + 6 <= columns / 2 ? name + 6 : 8
    return rows.flatMap(({ name, text }) => {
      const lines = wrapped(pasted(text), columns - column)
      const isNextToName = name.length + 4 <= column
      const first = isNextToName
        ? [`  ${color(name)}${pad(column - 2 - name.length)}${lines[0] ?? ""}`]
        : [`  ${color(name)}`]
      return [...first, ...lines.slice(isNextToName ? 1 : 0).map((line) => pad(column) + line)]
    })
  }

  const { args = [], description, examples = [], flags, globalFlags = [], subcommands = [], usage } = doc
  const lines = [
    ...section("DESCRIPTION", paragraph(description)),
    ...section("USAGE", paragraph(pasted(usage)).map((line) => cyan(line))),
    ...section("ARGUMENTS", table(args.map(argumentRow))),
    ...section("FLAGS", table(flags.map(flagRow))),
    ...section("GLOBAL FLAGS", table(globalFlags.map(flagRow))),
    ...subcommands.flatMap(({ commands, group = "SUBCOMMANDS" }) =>
      section(
        group,
        table(commands.map((each) => ({ name: each.name, text: each.shortDescription ?? each.description })), cyan)
      )
    ),
    ...section(
      "EXAMPLES",
      examples.flatMap(({ command, description }, i) =>
        [
          i === 0 ? [] : [""],
          description === undefined ? [] : paragraph(description, "  # ").map((line) => dim(line)),
          `  ${cyan(pasted(command))}`
        ].flat()
      )
    )
  ]
  return lines.slice(0, -1).join("\n")
}

const pad = (length: number): string => " ".repeat(Math.max(0, length))

const argumentRow = ({ description, name, required, variadic }: ArgDoc): Row => ({
  name: `<${name}>${variadic ? "..." : ""}`,
  text: Option.getOrElse(description, () => "") + (required ? "" : " (optional)")
})

const flagRow = ({ aliases, description, name, type }: FlagDoc): Row => ({
  // The values of a choice are in the description.
  name: [`--${name}`, ...aliases].join(", ") + (type === "boolean" ? "" : ` ${type.includes("|") ? "<choice>" : type}`),
  text: Option.getOrElse(description, () => "")
})

// The lines of a text; a word longer than a line is not broken.
const wrapped = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}
