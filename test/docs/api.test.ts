import { assert, describe, it } from "@effect/vitest"
import * as OpenApi from "effect/http-api/OpenApi"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Api } from "../../src/contract/Api.ts"
import { project } from "./pages.ts"

const page = readFileSync(join(project, "docs/how-to/api.md"), "utf8")
const { paths } = OpenApi.fromApi(Api)

const operations = Object.entries(paths).flatMap(([path, item]) =>
  (["get", "post", "patch", "put", "delete"] as const).flatMap((method) => {
    const operation = item[method]
    return operation === undefined ? [] : [{ name: `${method.toUpperCase()} ${path}`, operation }]
  })
)

describe("the page on the API", () => {
  it("lists every endpoint of the contract, and no other", () => {
    const listed = [...page.matchAll(/^\| `((?:GET|POST|PATCH|PUT|DELETE) \/v1\/[^`]*)`/gm)].map(([, name = ""]) =>
      name
    )
    assert.deepStrictEqual(listed.toSorted(), operations.map(({ name }) => name).toSorted())
  })

  it("lists every error that an endpoint can answer with, and no other", () => {
    const answered = operations.flatMap(({ operation }) =>
      Object.entries(operation.responses).filter(([status]) => Number(status) >= 400).flatMap(([status, response]) =>
        [...JSON.stringify(response).matchAll(/#\/components\/schemas\/(\w+)Encoded/g)].map(([, tag = ""]) =>
          `${status} ${tag}`
        )
      )
    )
    const listed = [...page.matchAll(/^\| (\d{3}) +\| (`[^|]*`) +\|/gm)].flatMap(([, status = "", tags = ""]) =>
      tags.split(", ").map((tag) => `${status} ${tag.replaceAll("`", "")}`)
    )
    assert.deepStrictEqual(listed.toSorted(), [...new Set(answered)].toSorted())
  })
})
