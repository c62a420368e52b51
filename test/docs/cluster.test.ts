import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parseAllDocuments } from "yaml"
import { project } from "./pages.ts"

const folder = join(project, "docs/how-to/cluster")
const files = readdirSync(folder)
const text = (file: string) => readFileSync(join(folder, file), "utf8")

describe("the files of a cluster", () => {
  it("are YAML that can be read, each service and object with its kind", () => {
    const yaml = files.filter((file) => file.endsWith(".yaml"))
    assert.deepStrictEqual(yaml, ["compose.yaml", "kubernetes.yaml"])
    for (const file of yaml) {
      const documents = parseAllDocuments(text(file))
      assert.deepStrictEqual([...documents].flatMap(({ errors }) => errors), [], file)
    }
    const [compose] = parseAllDocuments(text("compose.yaml"))
    assert.deepStrictEqual(Object.keys(compose?.toJS().services), ["database", "serve", "worker"])
    const kinds = [...parseAllDocuments(text("kubernetes.yaml"))].map((document) => document.toJS().kind)
    assert.deepStrictEqual(kinds, ["Deployment", "Service", "Deployment"])
  })

  it("are units with the sections of systemd, and a command each", () => {
    const units = files.filter((file) => file.endsWith(".service"))
    assert.deepStrictEqual(units, ["serena-serve.service", "serena-worker@.service"])
    for (const file of units) {
      const lines = text(file).split("\n").filter((line) => line !== "" && !line.startsWith("#"))
      assert.deepStrictEqual(lines.filter((line) => line.startsWith("[")), ["[Unit]", "[Service]", "[Install]"], file)
      assert.deepStrictEqual(lines.filter((line) => !/^\[\w+\]$|^\w+=.+$/.test(line)), [], file)
      assert.lengthOf(lines.filter((line) => /^ExecStart=\/usr\/bin\/npx serena (?:serve|worker) /.test(line)), 1, file)
    }
  })

  it("are linked by the page", () => {
    const page = readFileSync(join(project, "docs/how-to/run-a-cluster.md"), "utf8")
    for (const file of files) assert.include(page, `(cluster/${file})`)
  })
})
