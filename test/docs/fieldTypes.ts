/**
 * The interfaces of requests, settings and process options, with a comment on every field.
 *
 * The types that a schema infers are mapped types, whose fields have no comments in an editor: TypeScript 7 shows none
 * even for `Partial` of an interface that has them. So each is written out, complete and as it may be given, and
 * `test/types/FieldTypes.test-d.ts` compares them with the schemas.
 */
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import { type Described, fieldOf } from "../../src/core/Field.ts"
import { ProcessOptions } from "../../src/processing/CommandOptions.ts"
import { ControlUnit } from "../../src/processing/ControlUnit.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Options } from "../../src/processing/Options.ts"
import { OptionsPatch, OptionsSnapshot } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { code, entries, kind, type Node, nodesOf } from "./fieldValues.ts"

interface Written {
  readonly name: string
  readonly description: string
  readonly struct: Described & Schema.Constraint
  readonly defaults: object
  /** Which fields may be omitted: as the schema's type says, those that `make` has a default for, or all. */
  readonly optional: "schema" | "make" | "all"
  /** The interface that it extends, with the fields that are written there. */
  readonly base?: readonly [name: string, struct: Described]
}

const img2imgDefaults = { ...Img2Img.make({ init_images: [new Uint8Array()] }), init_images: undefined }

// Written once, because an editor shows a comment on a field of `Processing`, a union, only where both have the same
// one.
const img2imgFields: Described["fields"] = Img2Img.fields
const shared = Schema.Struct(
  Object.fromEntries(Object.entries(Txt2Img.fields).filter(([name, schema]) => img2imgFields[name] === schema))
).annotate({ identifier: "RequestFields" })

const all: ReadonlyArray<Written> = [
  {
    name: "ControlUnit",
    description: "A ControlNet of a request: the image that the result follows, and how.",
    struct: ControlUnit,
    defaults: ControlUnit.make({}),
    optional: "schema"
  },
  {
    name: "ControlUnitInput",
    description: "The same with fields that may be omitted.",
    struct: ControlUnit,
    defaults: ControlUnit.make({}),
    optional: "make"
  },
  {
    name: "RequestFields",
    description: "The fields of both kinds of requests.",
    struct: shared,
    defaults: Txt2Img.make({}),
    optional: "schema"
  },
  {
    name: "RequestInput",
    description: "The fields of both kinds of requests, of which each may be omitted.",
    struct: shared,
    defaults: Txt2Img.make({}),
    optional: "make"
  },
  {
    name: "Txt2Img",
    description: "A text-to-image request, complete: every default is filled in.",
    struct: Txt2Img,
    defaults: Txt2Img.make({}),
    optional: "schema",
    base: ["RequestFields", shared]
  },
  {
    name: "Txt2ImgInput",
    description: "The fields of `Txt2Img.make`.",
    struct: Txt2Img,
    defaults: Txt2Img.make({}),
    optional: "make",
    base: ["RequestInput", shared]
  },
  {
    name: "Img2Img",
    description: "An image-to-image request, complete: every default is filled in.",
    struct: Img2Img,
    defaults: img2imgDefaults,
    optional: "schema",
    base: ["RequestFields", shared]
  },
  {
    name: "Img2ImgInput",
    description: "The fields of `Img2Img.make`.",
    struct: Img2Img,
    defaults: img2imgDefaults,
    optional: "make",
    base: ["RequestInput", shared]
  },
  {
    name: "OptionsSnapshot",
    description: "All settings, as a run sees them: frozen.",
    struct: OptionsSnapshot,
    defaults: Options.defaults,
    optional: "schema"
  },
  {
    name: "OptionsPatch",
    description: "Some settings: the value of `override_settings`, and a change of the settings.",
    struct: OptionsPatch,
    defaults: Options.defaults,
    optional: "schema"
  },
  {
    name: "Limits",
    description: "How much one request may ask for.",
    struct: Limits,
    defaults: Limits.make({}),
    optional: "schema"
  },
  {
    name: "LimitsInput",
    description: "The fields of `Limits.make`.",
    struct: Limits,
    defaults: Limits.make({}),
    optional: "make"
  },
  {
    name: "ProcessOptions",
    description: "The options of a process, apart from the limits.",
    struct: ProcessOptions,
    defaults: ProcessOptions.make({}),
    optional: "schema"
  },
  {
    name: "ProcessOptionsPatch",
    description: "Some options of a process; the others have their defaults.",
    struct: ProcessOptions,
    defaults: ProcessOptions.make({}),
    optional: "all"
  }
]

// Types that a schema's AST does not name.
const named: Readonly<Record<string, string>> = {
  seed: "Seed",
  subseed: "Seed",
  sampler_name: "SamplerName",
  hr_sampler_name: "SamplerName",
  scheduler: "SchedulerName",
  hr_scheduler: "SchedulerName",
  override_settings: "OptionsPatch"
}

const typeOf = (ast: SchemaAST.AST, name: string, isInput: boolean): string => {
  switch (ast._tag) {
    case "String":
      return named[name] ?? "string"
    case "Number":
      return "number"
    case "Boolean":
      return "boolean"
    case "Null":
      return "null"
    case "Undefined":
      return "undefined"
    case "Literal":
      return JSON.stringify(ast.literal)
    case "Union":
      return ast.types.map((member) => typeOf(member, name, isInput)).join(" | ")
    case "Declaration":
      return named[name] ?? "ImageBytes"
    case "Objects":
      if (name === "control_units") return isInput ? "ControlUnitInput" : "ControlUnit"
      return named[name] ?? unknown(name, ast._tag)
    case "Arrays": {
      const items = [...ast.elements, ...ast.rest].map((item) => typeOf(item, name, isInput))
      const [item = "never"] = items
      return ast.elements.length === 0 ? `ReadonlyArray<${item}>` : `readonly [${item}, ...Array<${item}>]`
    }
    default:
      return unknown(name, ast._tag)
  }
}

const unknown = (name: string, tag: string): never => {
  throw new Error(`No type is written for the field ${name} (${tag}): add it to test/docs/fieldTypes.ts`)
}

const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

// Only what the type does not say already.
const values = (node: Node): string =>
  node.enum === undefined &&
    (node.type === "integer" || node.type === "number" || node.minLength !== undefined || node.maxLength !== undefined)
    ? kind(node)
    : ""

const remark = (node: Node, unit: string | undefined, value: unknown, otherwise: string | undefined): string => {
  const shown = value === undefined ? otherwise : code(value)
  return [
    upper([values(node), unit ?? ""].filter((text) => text !== "").join(", ")),
    shown === undefined ? "" : shown === "required" ? "Required" : `Default: ${shown}`
  ].filter((text) => text !== "").map((text) => `${text}.`).join(" ")
}

// As wide as the formatter lets code be.
const wrapped = (text: string): ReadonlyArray<string> => text.match(/\S.{0,111}(?!\S)/g) ?? []

const comment = (description: string, more: string): string =>
  more === "" && description.length <= 110
    ? `  /** ${description} */`
    : [
      "  /**",
      ...[...wrapped(description), ...(more === "" ? [] : ["", ...wrapped(more)])].map((line) =>
        `   * ${line}`.trimEnd()
      ),
      "   */"
    ].join("\n")

const written = ({ base, defaults, description, name, optional, struct }: Written): string => {
  const nodes = new Map(nodesOf(struct))
  const byName = entries(defaults)
  const own = Object.entries(struct.fields).filter(([key]) => base === undefined || !Object.hasOwn(base[1].fields, key))
  const lines = own.map(([key, schema]) => {
    const { ast } = Schema.toType(schema)
    const { constructorDefault, isOptional = false } = ast.context ?? {}
    const mayOmit = isOptional || optional === "all" || (optional === "make" && constructorDefault !== undefined)
    const line = `  readonly ${key}${mayOmit ? "?" : ""}: ${typeOf(ast, key, optional === "make")}`
    const described = fieldOf(struct, key)
    const node = nodes.get(key)
    return described === undefined || node === undefined
      ? line
      : `${comment(described.description, remark(node, described.unit, byName[key], described.otherwise))}\n${line}`
  })
  return `/** ${description} */\nexport interface ${name}${base === undefined ? "" : ` extends ${base[0]}`} {\n${
    lines.join("\n")
  }\n}\n`
}

/** The source file that holds them. */
export const fieldTypes = (): string =>
  [
    `/**
 * The types of requests, settings and process options, written out so that editors show what each field does.
 *
 * Made by \`npm run docs\` from the schemas of this folder. Do not edit.
 */
import type { Seed } from "../core/Seed.ts"
import type { ImageBytes } from "./ImageBytes.ts"
import type { SamplerName, SchedulerName } from "./SamplerName.ts"
`,
    ...all.map(written)
  ].join("\n")
