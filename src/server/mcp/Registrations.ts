/**
 * The tools, and the images of runs as resources, on Effect's server of the Model Context Protocol.
 *
 * Effect's toolkits give texts only, so each tool is added with the result that it makes itself: images as content next
 * to its structured output.
 */
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpSchema from "effect/ai/McpSchema"
import * as McpServer from "effect/ai/McpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as JsonSchema from "effect/JsonSchema"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import type { Limits } from "../../processing/Limits.ts"
import { Img2Img, limitOf } from "../../processing/Processing.ts"
import { version } from "../../version.ts"
import { type ImageFile, ToolImages, uriOf } from "./ToolImages.ts"
import { type Given, Report, type Services, type Tool, tools } from "./Tools.ts"

/** What a server says of itself, and the versions of the protocol that it speaks. */
export const about = {
  name: "serena",
  version,
  instructions: "Generates, changes and enlarges images with Stable Diffusion models on the user's own machine. " +
    "Images of results have addresses (serena://...), which other tools take.",
  protocols: [
    McpProtocol.v2026_07_28,
    McpProtocol.v2025_11_25,
    McpProtocol.v2025_06_18,
    McpProtocol.v2025_03_26,
    McpProtocol.v2024_11_05
  ]
} as const

const decodeInput = Schema.decodeUnknownEffect(McpSchema.ToolJson)

type Json = JsonSchema.JsonSchema

const isJson = (value: unknown): value is Json => Predicate.isObject(value) && !Array.isArray(value)

// An object, with its definitions within it.
const jsonOf = (schema: Schema.Top): Json => {
  const { definitions, schema: root } = Schema.toJsonSchemaDocument(schema)
  return Object.keys(definitions).length === 0 ? root : { ...root, $defs: definitions }
}

// Shorter, since models read it with every request: a field that may be null may as well be left out, numbers have the
// limits of this server, and what holds without a field is said.
const inputOf = (schema: Schema.Top, limits: Limits): Json => {
  const { properties, ...root } = jsonOf(schema)
  if (!isJson(properties)) return root
  const defaults: Readonly<Record<string, unknown>> = { ...Img2Img.make({ init_images: [new Uint8Array(1)] }) }
  const shown = Object.entries(properties).map(([name, property]) => {
    if (!isJson(property)) return [name, property]
    const { anyOf, ...rest } = property
    const kinds = (Array.isArray(anyOf) ? anyOf.filter(isJson) : []).filter(({ type }) => type !== "null")
    const { maximum, minimum, ...one } = { ...(kinds.length === 1 ? kinds[0] : {}), ...rest }
    const limit = limitOf(name, limits) ?? maximum
    const isBounded = kinds.length < 2
    const value = Object.hasOwn(defaults, name) && name !== "image" && name !== "mask" ? defaults[name] : undefined
    return [name, {
      ...one,
      ...(kinds.length > 1 && { anyOf: kinds }),
      ...(isBounded && typeof minimum === "number" && Number.isFinite(minimum) && { minimum }),
      ...(isBounded && typeof limit === "number" && limit < Number.MAX_SAFE_INTEGER && { maximum: limit }),
      ...(value !== undefined && typeof value !== "bigint" && { default: value })
    }]
  })
  return { ...root, properties: Object.fromEntries(shown) }
}

const imageContent = ({ bytes, mimeType }: ImageFile) => McpSchema.ImageContent.make({ data: bytes, mimeType })

const resultOf = ({ images, structured, text }: Given) =>
  new McpSchema.CallToolResult({
    content: [...images.map(imageContent), McpSchema.TextContent.make({ text })],
    structuredContent: structured
  })

const failure = (message: string) =>
  new McpSchema.CallToolResult({ isError: true, content: [McpSchema.TextContent.make({ text: message })] })

// What the client calls this call's progress by; undefined where it does not ask for any.
const progressToken = Effect.gen(function*() {
  const { requestMetadata } = yield* McpSchema.McpRequestContext
  const client = yield* Effect.serviceOption(McpSchema.McpServerClient)
  const metadata = Option.isSome(client) ? client.value.requestMetadata : requestMetadata
  const token = Predicate.isObject(metadata) ? Reflect.get(metadata, "progressToken") : undefined
  return typeof token === "string" || typeof token === "number" ? token : undefined
})

// Each notification is further than the one before it.
const reporter = Effect.gen(function*() {
  const { notifications } = yield* McpServer.McpServer
  const token = yield* progressToken
  let reached = -1
  return (part: number, message: string) =>
    Effect.suspend(() => {
      const progress = Math.round(Math.min(1, part) * 1000) / 1000
      if (token === undefined || progress <= reached) return Effect.void
      reached = progress
      return notifications["notifications/progress"]({ progressToken: token, progress, total: 1, message })
    })
})

const register = Effect.fnUntraced(function*({ description, input, isReadOnly, name, output, run, title }: Tool) {
  const server = yield* McpServer.McpServer
  const services = yield* Effect.context<Services>()
  const { limits } = yield* CommandOptions
  const inputSchema = yield* Effect.orDie(decodeInput(inputOf(input, limits)))
  yield* server.addTool({
    tool: new McpSchema.Tool({
      name,
      title,
      description,
      inputSchema,
      outputSchema: jsonOf(output),
      annotations: McpSchema.ToolAnnotations.make({
        title,
        readOnlyHint: isReadOnly,
        destructiveHint: false,
        openWorldHint: false
      })
    }),
    annotations: Context.empty(),
    handle: (given) =>
      Effect.gen(function*() {
        const report = yield* Effect.provideService(reporter, McpServer.McpServer, server)
        return yield* run(Predicate.isObject(given) ? { ...given } : {}).pipe(
          Effect.map(resultOf),
          Effect.catch(({ message }) => Effect.succeed(failure(message))),
          Effect.catchDefect((defect) =>
            Effect.as(
              Effect.logError("a tool failed", defect),
              failure("The server has a fault. Its log says more.")
            )
          ),
          Effect.provideService(Report, report),
          Effect.provideContext(services)
        )
      })
  })
})

const resource = (uri: string) =>
  Effect.map(Effect.flatMap(ToolImages, ({ at }) => at(uri)), ({ bytes, mimeType }) => ({
    contents: [{ uri, mimeType, blob: bytes }]
  }))

const registerAll = Effect.gen(function*() {
  const services = yield* Effect.context<ToolImages>()
  const content = (uri: string) => Effect.provideContext(resource(uri), services)
  yield* Effect.forEach(tools, register, { discard: true })
  yield* McpServer
    .registerResource`serena://runs/${McpSchema.param("run", Schema.String)}/images/${
    McpSchema.param("index", Schema.String)
  }`({
    name: "image",
    description: "An image of a run: the whole file, with its infotext in it.",
    content: (_, run, index) => content(uriOf(run, Number(index)))
  })
  yield* McpServer.registerResource`serena://results/${McpSchema.param("number", Schema.String)}`({
    name: "result",
    description: "An enlarged image.",
    content: (uri) => content(uri)
  })
})

/** The registrations, for a transport. */
export const layer = Layer.effectDiscard(registerAll)
