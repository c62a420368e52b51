/** Plots of what benches found, as SVG. */
import * as Plot from "@observablehq/plot"
import { parseHTML } from "linkedom"
import { rounded, type Row } from "../bench/report.ts"

const width = 860
const [ink, own, aim] = ["#222", "#2f6f8f", "#b3412f"]

/** A file of its own, on white, so that it can be read on a dark page too. */
const file = (options: Plot.PlotOptions): string => {
  const { document } = parseHTML("<!doctype html><html><body></body></html>")
  const svg = Plot.plot({
    document,
    className: "plot",
    width,
    style: { background: "white", color: ink, fontSize: "12px" },
    ...options
  })
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg")
  return `${svg.outerHTML}\n`
}

/** Labels are not wrapped: a column as wide as the longest. */
const columnFor = (names: ReadonlyArray<string>): number => Math.max(...names.map((name) => name.length)) * 6.4 + 24

const plain = (text: string) => text.replaceAll("`", "")

/** How each row stands to its baseline: the ratio, four of five single ones, and the target. */
export const ratioPlot = (rows: ReadonlyArray<Row>): string => {
  const points = rows.flatMap(({ baseline, high, low, name, ratio, target }) =>
    ratio === undefined || baseline === undefined ? [] : [{
      name: `${plain(name)} / ${plain(baseline)}`,
      ratio,
      low: low ?? ratio,
      high: high ?? ratio,
      target
    }]
  )
  const names = points.map(({ name }) => name)
  return file({
    width: width + 120,
    marginLeft: columnFor(names),
    marginRight: 48,
    marginBottom: 44,
    x: { type: "log", label: "ratio", grid: true, tickFormat: (value: number) => rounded(value), ticks: 5 },
    y: { label: null, domain: names, tickSize: 0 },
    marks: [
      Plot.ruleX([1], { stroke: ink, strokeOpacity: 0.5 }),
      Plot.link(points, {
        x1: "low",
        x2: "high",
        y1: "name",
        y2: "name",
        stroke: own,
        strokeWidth: 6,
        strokeOpacity: 0.35
      }),
      Plot.dot(points, { x: "ratio", y: "name", fill: own, r: 4 }),
      Plot.tickX(points.filter(({ target }) => target !== undefined), {
        x: "target",
        y: "name",
        stroke: aim,
        strokeWidth: 2
      })
    ]
  })
}

/** Heights from below, each at least a gap above the one before. */
const apart = (heights: ReadonlyArray<number>, gap: number): ReadonlyArray<number> => {
  let last = -Infinity
  return heights.map((height) => last = Math.max(height, last + gap))
}

/** What each choice gains, over what it changes. Names stand in a column, with a line to their dot. */
export const choicePlot = (rows: ReadonlyArray<Row>): string => {
  const points = rows.flatMap(({ change, name, ratio }) =>
    change === undefined || ratio === undefined ? [] : [{ name, ratio, difference: change.difference }]
  ).toSorted((a, b) => a.difference - b.difference)
  const most = Math.max(...points.map(({ difference }) => difference)) * 1.15
  const right = Math.max(1, ...points.map(({ ratio }) => ratio)) + 0.01
  const heights = apart(points.map(({ difference }) => difference), most / 20)
  const labels = points.map((point, i) => ({ ...point, right, height: heights[i] ?? 0 }))
  return file({
    height: 400,
    marginRight: columnFor(points.map(({ name }) => name)),
    marginTop: 32,
    marginBottom: 44,
    x: {
      label: "time, to that without",
      grid: true,
      domain: [Math.min(...points.map(({ ratio }) => ratio)) - 0.02, right]
    },
    y: { label: "mean difference, of 255 levels", grid: true, domain: [0, Math.max(most, ...heights)] },
    marks: [
      Plot.link(labels, { x1: "ratio", y1: "difference", x2: "right", y2: "height", stroke: own, strokeOpacity: 0.35 }),
      Plot.dot(points, { x: "ratio", y: "difference", fill: own, r: 4 }),
      Plot.text(labels, { x: "right", y: "height", text: "name", dx: 6, textAnchor: "start" })
    ]
  })
}
