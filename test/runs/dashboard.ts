/** The example dashboard, and whether its queries find what a process exports. */
import { assert } from "@effect/vitest"
import { readFileSync } from "node:fs"
import parse from "parse-prometheus-text-format"

/** What Prometheus would read in a text, each sample by its name and labels. */
export const samplesIn = (text: string): ReadonlyMap<string, number> => {
  const families = parse(text.replaceAll(/^# TYPE \S+ histogram$/gm, ""))
  return new Map(families.flatMap(({ metrics, name }) =>
    metrics.map(({ labels = {}, value }) => {
      const pairs = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
      return [pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`, Number(value)] as const
    })
  ))
}

const dashboard = new URL("../../docs/how-to/cluster/dashboard.json", import.meta.url)

/** Asserts that every query of the dashboard asks for metrics and labels that are among the samples. */
export const assertAnswers = (samples: ReadonlyMap<string, number>): void => {
  const labelsOf = new Map<string, Set<string>>()
  for (const sample of samples.keys()) {
    const [name = "", labels = ""] = sample.split("{")
    const known = labelsOf.get(name) ?? new Set()
    for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) known.add(label)
    labelsOf.set(name, known)
  }
  const queries = [...readFileSync(dashboard, "utf8").matchAll(/"expr": "((?:[^"\\]|\\.)*)"/g)].map((
    [, query = ""]
  ) => query.replaceAll("\\\"", "\""))
  assert.isAbove(queries.length, 10)
  for (const query of queries) {
    const names = [...query.matchAll(/\bserena_\w+/g)].map(([name]) => name)
    assert.lengthOf(names, 1, query)
    const known = labelsOf.get(names[0] ?? "")
    assert.isDefined(known, `no metric is named as in ${query}`)
    // Prometheus itself adds the label of the process.
    const used = [
      ...[...query.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/,\s*/)),
      ...[...query.matchAll(/(\w+)=~?"/g)].map(([, label = ""]) => label)
    ].filter((label) => label !== "instance")
    assert.deepStrictEqual(used.filter((label) => known?.has(label) !== true), [], query)
  }
}
