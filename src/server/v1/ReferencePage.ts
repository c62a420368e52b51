/**
 * The API reference as one HTML page, rendered from the OpenAPI document, without scripts or external resources.
 */
import type * as OpenApi from "effect/http-api/OpenApi"
import * as Predicate from "effect/Predicate"

const methods = ["get", "post", "put", "patch", "delete", "head", "options"] as const

const escaped = (text: string): string =>
  text.replaceAll(
    /[&<>"]/g,
    (character) => character === "&" ? "&amp;" : character === "<" ? "&lt;" : character === ">" ? "&gt;" : "&quot;"
  )

const prose = (text: string): string => escaped(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>")

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Predicate.isObject(value) && !Array.isArray(value)

/** A schema in a few words: a type, a link to a schema with a name, a list, a choice. */
const typeOf = (schema: unknown, depth = 0): string => {
  if (!isRecord(schema) || depth > 4) return "anything"
  const { $ref, anyOf, const: only, enum: choices, items, oneOf, type } = schema
  if (typeof $ref === "string") {
    const name = $ref.split("/").at(-1) ?? ""
    return `<a href="#${escaped(name)}">${escaped(name)}</a>`
  }
  if (Array.isArray(choices)) {
    return choices.map((choice) => `<code>${escaped(JSON.stringify(choice))}</code>`).join(" | ")
  }
  if (only !== undefined) return `<code>${escaped(JSON.stringify(only))}</code>`
  const union = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined
  if (union !== undefined) return [...new Set(union.map((one) => typeOf(one, depth + 1)))].join(" | ")
  if (type === "array") return `list of ${typeOf(items, depth + 1)}`
  return escaped(Array.isArray(type) ? type.join(" | ") : typeof type === "string" ? type : "anything")
}

const bounds = (schema: unknown): string => {
  if (!isRecord(schema)) return ""
  const parts = [schema, ...(Array.isArray(schema["allOf"]) ? schema["allOf"].filter(isRecord) : [])]
  const words = new Set<string>()
  for (const { default: initial, maximum, maxLength, minimum, minLength } of parts) {
    if (minimum !== undefined) words.add(`at least ${String(minimum)}`)
    if (maximum !== undefined) words.add(`at most ${String(maximum)}`)
    if (minLength !== undefined) words.add(`at least ${String(minLength)} characters`)
    if (maxLength !== undefined) words.add(`at most ${String(maxLength)} characters`)
    if (initial !== undefined) words.add(`default <code>${escaped(JSON.stringify(initial))}</code>`)
  }
  return [...words].join(", ")
}

const textOf = (schema: unknown): string =>
  isRecord(schema) && typeof schema["description"] === "string" ? prose(schema["description"]) : ""

/** A schema in full: its fields as a table, if it has any. */
const schemaOf = (schema: unknown): string => {
  if (!isRecord(schema) || !isRecord(schema["properties"])) return `<p>${typeOf(schema)} ${bounds(schema)}</p>`
  const required: ReadonlyArray<unknown> = Array.isArray(schema["required"]) ? schema["required"] : []
  const rows = Object.entries(schema["properties"]).map(([name, field]) =>
    `<tr><td><code>${escaped(name)}</code>${required.includes(name) ? " <b title=\"required\">*</b>" : ""}</td>` +
    `<td>${typeOf(field)}</td><td>${[bounds(field), textOf(field)].filter((text) => text !== "").join(". ")}</td></tr>`
  )
  return `<table><thead><tr><th>field</th><th>type</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table>`
}

const contents = (content: unknown): string =>
  isRecord(content)
    ? Object.entries(content).map(([type, media]) =>
      `<p><code>${escaped(type)}</code></p>${schemaOf(isRecord(media) ? media["schema"] : undefined)}`
    ).join("")
    : ""

const operationOf = (method: string, path: string, operation: OpenApi.OpenAPISpecOperation): string => {
  const parameters = operation.parameters.map((parameter) =>
    `<tr><td><code>${escaped(parameter.name)}</code>${parameter.required ? " <b title=\"required\">*</b>" : ""}</td>` +
    `<td>${escaped(parameter.in)}</td><td>${typeOf(parameter.schema)}</td></tr>`
  )
  const responses = Object.entries(operation.responses).map(([status, response]) =>
    `<h4>${escaped(status)} ${escaped(response.description)}</h4>${contents(response.content)}`
  )
  return `<details><summary><code class="${method}">${method.toUpperCase()}</code> <code>${escaped(path)}</code> ` +
    `<span>${prose(operation.summary ?? "")}</span></summary>` +
    (operation.description === undefined ? "" : `<p>${prose(operation.description)}</p>`) +
    (parameters.length === 0 ? "" : `<h4>Parameters</h4><table><tbody>${parameters.join("")}</tbody></table>`) +
    (operation.requestBody === undefined ? "" : `<h4>Body</h4>${contents(operation.requestBody.content)}`) +
    `${responses.join("")}</details>`
}

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid color-mix(in srgb, currentColor 20%, transparent); border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem }
summary { cursor: pointer }
summary span { opacity: .75 }
code { font: 13px ui-monospace, monospace }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-top: 1px solid color-mix(in srgb, currentColor 12%, transparent) }
summary > code:first-child { display: inline-block; min-width: 4.2rem; font-weight: bold }
b { color: #c33 }
`

/** The page, in HTML. */
export const referencePage = (spec: OpenApi.OpenAPISpec): string => {
  const operations = Object.entries(spec.paths).flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const operation = item[method]
      return operation === undefined ? [] : [{ method, path, operation }]
    })
  )
  const sections = spec.tags.map(({ description, name }) =>
    `<h2>${escaped(name)}</h2><p>${prose(description ?? "")}</p>` +
    operations.filter(({ operation }) => operation.tags.includes(name))
      .map(({ method, operation, path }) => operationOf(method, path, operation)).join("")
  )
  const schemas = Object.entries(spec.components.schemas).toSorted(([a], [b]) => a.localeCompare(b)).map((
    [name, schema]
  ) => `<h3 id="${escaped(name)}">${escaped(name)}</h3><p>${textOf(schema)}</p>${schemaOf(schema)}`)
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width, initial-scale=1"><title>${
      escaped(spec.info.title)
    } API</title>` +
    `<style>${style}</style></head><body><h1>${escaped(spec.info.title)} ${escaped(spec.info.version)}</h1>` +
    `<p>${prose(spec.info.description ?? "")} The same as a document: <a href="openapi.json">openapi.json</a>.</p>` +
    `${sections.join("")}<h2>Schemas</h2>${schemas.join("")}</body></html>`
}
