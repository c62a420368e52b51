/** The page `docs/performance.md`, with its plots: from the reports that benches keep, and what is known of them. */
import { keptReport, misses, type Report, rounded, type Row } from "../bench/report.ts"
import { page, prose, table } from "./markdown.ts"
import { sections, tries } from "./performanceNotes.ts"
import { choicePlot, ratioPlot } from "./plots.ts"

/** Why rows miss their targets, and what was tried. Each row is named as in `keyOf`. */
export interface Missed {
  readonly rows: ReadonlyArray<string>
  readonly why: string
}

/** What one bench found. */
export interface Section {
  readonly title: string
  /** Of the report that is kept. */
  readonly bench: string
  readonly intro: string
  /** How the bench was called, when it was given more than its name. */
  readonly flags?: string
  readonly missed?: ReadonlyArray<Missed>
  /** Tables of what was measured by hand. */
  readonly more?: ReadonlyArray<string>
  readonly notes?: ReadonlyArray<string>
}

/** A name for a row that no other row of its report has. */
const keyOf = ({ baseline, name }: Row): string => baseline === undefined ? name : `${name} / ${baseline}`

/** @throws if a row misses its target without a word about it, or words are about a row that does not. */
export const checked = ({ bench, rows }: Pick<Report, "bench" | "rows">, missed: ReadonlyArray<Missed>): void => {
  const without = rows.filter(misses).map(keyOf).filter((key) => !missed.some(({ rows }) => rows.includes(key)))
  const kept = missed.flatMap(({ rows }) => rows).filter((key) =>
    !rows.some((row) => keyOf(row) === key && misses(row))
  )
  const where = `test/docs/performanceNotes.ts, "${bench}"`
  if (without.length > 0) throw new Error(`${where}: say why these miss their targets: ${without.join("; ")}`)
  if (kept.length > 0) throw new Error(`${where}: these do not miss a target: ${kept.join("; ")}`)
}

const measured = (value: number, unit: string) => unit === "" ? rounded(value) : `${rounded(value)} ${unit}`
const spread = ({ high, low }: Row) =>
  low === undefined || high === undefined ? "" : `${rounded(low)} to ${rounded(high)}`
const aim = (row: Row) => row.target === undefined ? "" : `${rounded(row.target)}${misses(row) ? ", missed" : ""}`

/** Leaves out a column that no row has anything in. */
const columns = (
  rows: ReadonlyArray<Row>,
  ...all: ReadonlyArray<readonly [title: string, cell: (row: Row) => string]>
): string => {
  const used = all.filter(([, cell]) => rows.some((row) => cell(row) !== ""))
  return table(used.map(([title]) => title), rows.map((row) => used.map(([, cell]) => cell(row))))
}

const comparisons = (rows: ReadonlyArray<Row>) =>
  columns(
    rows,
    ["measurement", ({ name }) => name],
    ["median", ({ unit, value }) => measured(value, unit)],
    ["baseline", ({ baseline = "" }) => baseline],
    ["median", ({ base, unit }) => base === undefined ? "" : measured(base, unit)],
    ["ratio", ({ ratio }) => ratio === undefined ? "" : rounded(ratio)],
    ["spread", spread],
    ["target", aim]
  )

const figures = (rows: ReadonlyArray<Row>) =>
  columns(
    rows,
    ["figure", ({ name }) => name],
    ["median", ({ unit, value }) => measured(value, unit)],
    ["spread", spread],
    ["target", aim]
  )

const choices = (rows: ReadonlyArray<Row>) =>
  columns(
    rows,
    ["setting", ({ name }) => `\`${name}\``],
    ["time, to that without", ({ ratio }) => ratio === undefined ? "" : rounded(ratio)],
    ["spread", spread],
    ["mean difference", ({ change }) => change?.difference.toFixed(2) ?? ""],
    ["PSNR, dB", ({ change }) => change?.psnr.toFixed(1) ?? ""],
    ["at worst", ({ change }) => change?.worst.toFixed(1) ?? ""]
  )

/** The same in short, for the page that says what each setting does. */
export const choicesTable = (): string =>
  columns(
    keptReport("choices").rows,
    ["what", ({ name }) => name.split(", ").map((setting) => `\`${setting}\``).join(" and ")],
    ["time of a run", ({ ratio = NaN }) => ratio.toFixed(2)],
    ["difference", ({ change }) => change?.difference.toFixed(1) ?? ""]
  )

const list = (items: ReadonlyArray<string>): ReadonlyArray<string> =>
  items.length === 0 ? [] : [items.map((item) => prose(`- ${item}`).replaceAll("\n", "\n  ")).join("\n")]

const plotOf = (bench: string) => `performance-${bench}.svg`

const ofSection = (
  { bench, flags = "", intro, missed = [], more = [], notes = [], title }: Section
): ReadonlyArray<string> => {
  const report = keptReport(bench)
  checked(report, missed)
  const changes = report.rows.filter(({ change }) => change !== undefined)
  const ratios = report.rows.filter(({ change, ratio }) => change === undefined && ratio !== undefined)
  const single = report.rows.filter(({ ratio }) => ratio === undefined)
  const { cores, memory, node, processor } = report.machine
  const shown = (key: string) => {
    const row = report.rows.find((row) => keyOf(row) === key)
    return row === undefined
      ? key
      : `${row.name} (${rounded(row.ratio ?? row.value)}, target ${aim(row).split(",")[0]})`
  }
  return [
    `## ${title}`,
    prose(intro),
    prose(
      `\`${report.command}${flags}\`, ${report.date}, on ${cores} cores of an ${
        processor.replaceAll("(R)", "")
      } with ${memory} GiB, Node ${node.slice(1)}:`
    ),
    ...(ratios.length > 0 ? [comparisons(ratios)] : []),
    ...(changes.length > 0 ? [choices(changes)] : []),
    ...(single.length > 0 ? [figures(single)] : []),
    ...(plots(report).length > 0 ? [`![${title}](images/${plotOf(bench)})`] : []),
    ...(missed.length > 0 ? ["Targets that are missed:"] : []),
    ...list(missed.map(({ rows, why }) => `${rows.map(shown).join("; ")}: ${why}`)),
    ...more,
    ...(notes.length > 0 ? ["Notes:"] : []),
    ...list(notes)
  ]
}

/** The plot of a report, if it has rows for one. */
const plots = ({ bench, rows }: Report): ReadonlyArray<{ readonly path: string; readonly text: string }> => {
  const path = `docs/images/${plotOf(bench)}`
  if (rows.some(({ change }) => change !== undefined)) return [{ path, text: choicePlot(rows) }]
  return rows.some(({ ratio }) => ratio !== undefined) ? [{ path, text: ratioPlot(rows) }] : []
}

/** The page and the plots that it shows. */
export const performanceFiles = (): ReadonlyArray<{ readonly path: string; readonly text: string }> => [
  {
    path: "docs/performance.md",
    text: page(
      "# Performance",
      "<!-- Made by `npm run docs` from what the benches kept. Do not edit. -->",
      prose(
        "Each ratio compares two sides that take turns in one execution of a bench: a machine that slows down slows both. " +
          "A ratio is the median of those of neighbours; four of five single ratios lie within its spread. A dot in a plot " +
          "is a ratio, its bar the spread, and the red tick its target."
      ),
      "```text\nnpm run bench:arithmetic -- --json    print a report as JSON\nnpm run bench:arithmetic -- --keep    keep it for this page\nnpm run docs                          make this page from what was kept\n```",
      ...sections.flatMap(ofSection),
      "## Tried, and not taken",
      table(["what", "what it gained", "why it was not taken"], tries)
    )
  },
  ...sections.flatMap(({ bench }) => plots(keptReport(bench)))
]
