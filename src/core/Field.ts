/**
 * Descriptions of fields, kept on their schemas.
 *
 * A request field, setting, limit or process option is described once, where its schema is. The command line's flags
 * and help, forms, the studio's labels, plain infotext rows, the reference pages and the OpenAPI document are derived
 * from it.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

/**
 * What a flag takes on the command line. `names` are separated by commas; `folders` and `words` are given by as many
 * flags; a `seed` is an integer of 64 bits; `parts` are `name=value` pairs, and each flag gives one item of a list.
 */
export type FlagValue =
  | "text"
  | "name"
  | "names"
  | "folder"
  | "folders"
  | "file"
  | "url"
  | "integer"
  | "seed"
  | "number"
  | "switch"
  | "parts"
  | "words"

export interface Field {
  /** The label that people know. */
  readonly title: string
  /** What it does, in one sentence. */
  readonly description: string
  /** Fields of one group stand together. */
  readonly group: string
  readonly unit?: "pixels" | "bytes" | "MiB" | "days" | "seconds" | "tokens" | undefined
  /** Name of its flag, without the hyphens. */
  readonly flag?: string | undefined
  readonly value?: FlagValue | undefined
  /** A value of its flag, where help should show one. */
  readonly example?: string | undefined
  /** What holds when it is omitted, for a field without a default value. */
  readonly otherwise?: string | undefined
  /** Key of its row in an infotext. */
  readonly infotext?: string | undefined
  /** When the row is written, for one without a rule of its own in the infotext's writer. */
  readonly written?: "unless default" | undefined
  /** Why there is no row, for a field that changes an image. */
  readonly unwritten?: string | undefined
}

declare module "effect/Schema" {
  namespace Annotations {
    interface Annotations {
      readonly "serena/Field"?: Field | undefined
    }
  }
}

/**
 * Describes a field: `schema.pipe(field({ ... }))`.
 *
 * Title and description are also annotations of the encoded side, where JSON Schema and OpenAPI read them: a field with
 * a default is a transformation, which hides the annotations of its key.
 */
export const field = (described: Field) => <S extends Schema.Top>(schema: S): S["Rebuild"] => {
  const labels = { title: described.title, description: described.description }
  // Where both sides are one, it is annotated itself: turning a schema round twice takes long, and there are hundreds.
  const labelled = SchemaAST.toEncoded(schema.ast) === schema.ast
    ? schema.annotate(labels)
    : Schema.annotateEncoded(labels)(schema)
  return schema.rebuild(Schema.annotateKey({ "serena/Field": described })(labelled).ast)
}

/** A struct whose fields are described. */
export interface Described {
  readonly fields: Readonly<Record<string, Schema.Top>>
}

/** The description of a field; `undefined` for one without. */
export const fieldOf = ({ fields }: Described, name: string): Field | undefined =>
  fields[name]?.ast.context?.annotations?.["serena/Field"]

/** The described fields of a struct, in order. */
export const fieldsOf = (struct: Described): ReadonlyArray<readonly [name: string, field: Field]> =>
  Object.keys(struct.fields).flatMap((name) => {
    const described = fieldOf(struct, name)
    return described === undefined ? [] : [[name, described] as const]
  })

/** What a field takes: as it is described, or else by its type. */
export const takenBy = (struct: Described, name: string): FlagValue => {
  const described = fieldOf(struct, name)?.value
  const schema = struct.fields[name]
  if (described !== undefined || schema === undefined) return described ?? "text"
  const { ast } = Schema.toType(schema)
  switch (ast._tag) {
    case "Boolean":
      return "switch"
    case "Number":
      return ast.checks?.some(({ annotations }) => annotations?.["expected"] === "an integer") ? "integer" : "number"
    case "Arrays":
      return "names"
    default:
      return "text"
  }
}

/** The values of a field that takes one of a few; empty for others. */
export const choicesOf = ({ fields }: Described, name: string): ReadonlyArray<string> => {
  const schema = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (schema === undefined) return []
  const { ast } = Schema.toType(schema)
  const members = ast._tag === "Union" ? ast.types : [ast]
  const values = members.flatMap((member) => member._tag === "Literal" ? [String(member.literal)] : [])
  return values.length === members.length ? values : []
}
