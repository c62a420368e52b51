/**
 * The values of described fields, in words: from their JSON Schema.
 */
import * as Schema from "effect/Schema"

const Node = Schema.Struct({
  $ref: Schema.optionalKey(Schema.String),
  type: Schema.optionalKey(Schema.String),
  enum: Schema.optionalKey(Schema.Array(Schema.Union([Schema.String, Schema.Finite]))),
  contentEncoding: Schema.optionalKey(Schema.String),
  items: Schema.optionalKey(Schema.Struct({
    $ref: Schema.optionalKey(Schema.String),
    contentEncoding: Schema.optionalKey(Schema.String)
  })),
  minimum: Schema.optionalKey(Schema.Finite),
  maximum: Schema.optionalKey(Schema.Finite),
  minLength: Schema.optionalKey(Schema.Finite),
  maxLength: Schema.optionalKey(Schema.Finite)
})
export type Node = typeof Node.Type

const Document = Schema.Struct({
  schema: Schema.Struct({ $ref: Schema.String }),
  definitions: Schema.Record(
    Schema.String,
    Schema.Struct({
      properties: Schema.optionalKey(Schema.Record(
        Schema.String,
        Schema.Union([Schema.Struct({ anyOf: Schema.NonEmptyArray(Node) }), Node])
      ))
    })
  )
})

/** The JSON Schema of each field. */
export const nodesOf = (schema: Schema.Constraint): ReadonlyArray<readonly [name: string, node: Node]> => {
  const { definitions, schema: { $ref } } = Schema.decodeUnknownSync(Document)(Schema.toJsonSchemaDocument(schema))
  const properties = definitions[$ref.replace("#/$defs/", "")]?.properties ?? {}
  return Object.entries(properties).map(([name, node]) => [name, "anyOf" in node ? node.anyOf[0] : node])
}

const list = (values: ReadonlyArray<string>): string =>
  values.length < 2 ? values.join("") : `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`

export const code = (value: unknown): string => `\`${JSON.stringify(value)}\``

const range = ({ maximum = Infinity, minimum = -Infinity }: Node): string => {
  const [from, to] = [minimum > Number.MIN_SAFE_INTEGER, maximum < Number.MAX_SAFE_INTEGER]
  if (from && to) return `, ${minimum} to ${maximum}`
  return from ? `, at least ${minimum}` : to ? `, at most ${maximum}` : ""
}

/** Which values a field takes. */
export const kind = (node: Node): string => {
  if (node.$ref !== undefined) return "some settings"
  if (node.enum !== undefined) return list(node.enum.map((value) => code(value)))
  if (node.contentEncoding !== undefined) return "image file; in JSON as base64"
  switch (node.type) {
    case "array":
      if (node.items?.$ref !== undefined) return "ControlNet units"
      return node.items?.contentEncoding === undefined ? "texts" : "one or more image files; in JSON as base64"
    case "integer":
      return `whole number${range(node)}`
    case "number":
      return `number${range(node)}`
    case "boolean":
      return "`true` or `false`"
    default:
      return ["text", ...(node.minLength === undefined ? [] : ["not empty"])]
        .concat(node.maxLength === undefined ? [] : [`at most ${node.maxLength} characters`]).join(", ")
  }
}

export const entries = (values: object): Readonly<Record<string, unknown>> => Object.fromEntries(Object.entries(values))
