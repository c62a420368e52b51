/**
 * What a bench found: a row for each figure, on one machine and one day.
 *
 * Every bench prints its rows as they come. With `--json` it prints the report alone, and with `--keep` it also writes
 * it to `test/bench/kept`, from where `npm run docs` takes the tables and plots of `docs/performance.md`.
 */
import * as Schema from "effect/Schema"
import { readFileSync, writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { median, quantile } from "./median.ts"

/** What a choice changes: the mean difference of 255 levels, and the PSNR in dB, in the median and at worst. */
const Change = Schema.Struct({ difference: Schema.Finite, psnr: Schema.Finite, worst: Schema.Finite })

/** A figure, and what it is measured with in turn. */
export const Row = Schema.Struct({
  name: Schema.String,
  /** Of `value` and `base`. */
  unit: Schema.String,
  /** The median. */
  value: Schema.Finite,
  /** What it is compared with, and the median of that. */
  baseline: Schema.optionalKey(Schema.String),
  base: Schema.optionalKey(Schema.Finite),
  /** The median ratio of neighbours, not the ratio of the medians. */
  ratio: Schema.optionalKey(Schema.Finite),
  /** Four of five single ratios lie between these; single values, in a row without a baseline. */
  low: Schema.optionalKey(Schema.Finite),
  high: Schema.optionalKey(Schema.Finite),
  /** Of the ratio; of the value, in a row without a baseline. */
  target: Schema.optionalKey(Schema.Finite),
  /** Whether more is better, as of images per second. */
  isRate: Schema.optionalKey(Schema.Boolean),
  change: Schema.optionalKey(Change)
})
export type Row = typeof Row.Type

export const Report = Schema.Struct({
  bench: Schema.String,
  command: Schema.String,
  machine: Schema.Struct({
    processor: Schema.String,
    cores: Schema.Int,
    /** GiB. */
    memory: Schema.Finite,
    node: Schema.String
  }),
  /** The day, as in 2026-01-31. */
  date: Schema.String,
  rows: Schema.Array(Row)
})
export type Report = typeof Report.Type

/** For `parseArgs`. */
export const reportFlags = {
  json: { type: "boolean", default: false },
  keep: { type: "boolean", default: false }
} as const

interface Given {
  readonly json: boolean
  readonly keep: boolean
}

type Details = Partial<Pick<Row, "target" | "isRate" | "change">>

const spread = (values: ReadonlyArray<number>) =>
  values.length < 2 ? {} : { low: quantile(values, 0.1), high: quantile(values, 0.9) }

/** Both sides were measured in turn: the first of one belongs to the first of the other. */
export const compared = (
  name: string,
  unit: string,
  own: ReadonlyArray<number>,
  baseline: string,
  base: ReadonlyArray<number>,
  details: Details = {}
): Row => {
  const ratios = own.map((value, i) => value / (base[i] ?? NaN))
  return {
    name,
    unit,
    value: median(own),
    baseline,
    base: median(base),
    ratio: median(ratios),
    ...spread(ratios),
    ...details
  }
}

export const figure = (name: string, unit: string, values: ReadonlyArray<number>, details: Details = {}): Row => ({
  name,
  unit,
  value: median(values),
  ...spread(values),
  ...details
})

/** Whether the row misses its target, as it is rounded for people. */
export const misses = ({ isRate = false, ratio, target, value }: Row): boolean => {
  if (target === undefined) return false
  const found = Number(rounded(ratio ?? value))
  return isRate ? found < target : found > target
}

/** With three digits, but whole numbers whole. */
export const rounded = (value: number): string =>
  Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : String(Number(value.toPrecision(3)))

const line = (row: Row): string => {
  const { base, baseline, change, high, low, name, ratio, target, unit, value } = row
  const range = low === undefined || high === undefined ? "" : ` (${rounded(low)} to ${rounded(high)})`
  return [
    `${name.padEnd(64)} ${rounded(value).padStart(7)} ${unit.padEnd(5)}`,
    ...(baseline === undefined || base === undefined || ratio === undefined
      ? [range]
      : [`  ${baseline.padEnd(48)} ${rounded(base).padStart(7)} ${unit.padEnd(5)}  ratio ${rounded(ratio)}${range}`]),
    ...(change === undefined
      ? []
      : [`  differs by ${change.difference.toFixed(2)}, PSNR ${change.psnr.toFixed(1)}, ${change.worst.toFixed(1)}`]),
    ...(target === undefined ? [] : [`  target ${target}${misses(row) ? ", missed" : ""}`])
  ].join("")
}

const kept = (bench: string) => new URL(`./kept/${bench}.json`, import.meta.url)

/** Begins a report: rows are added as they are found. */
export const begin = (bench: string, command: string, { json, keep }: Given) => {
  const rows: Array<Row> = []
  const machine = {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memory: Math.round(totalmem() / 2 ** 30),
    node: process.version
  }
  const print = (text: string) => process.stdout.write(`${text}\n`)
  if (!json) print(`Node ${machine.node}, ${machine.cores} x ${machine.processor}\n`)
  return {
    add: (...found: ReadonlyArray<Row>) => {
      rows.push(...found)
      if (!json) { for (const row of found) print(line(row)) }
    },
    end: () => {
      const report: Report = { bench, command, machine, date: new Date().toISOString().slice(0, 10), rows }
      const text = JSON.stringify(Schema.encodeSync(Report)(report), null, 2)
      if (json) print(text)
      if (keep) writeFileSync(kept(bench), `${text}\n`)
    }
  }
}

/** The report that was kept last. */
export const keptReport = (bench: string): Report =>
  Schema.decodeUnknownSync(Schema.fromJsonString(Report))(readFileSync(kept(bench), "utf8"))
