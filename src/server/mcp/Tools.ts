/**
 * What a client of the Model Context Protocol can do here: the tools, over `/v1`'s submission and the run queue.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { toJson } from "../../core/Seed.ts"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import { formatOf, ImageEncoder } from "../../images/ImageEncoder.ts"
import { parametersOf, readMetadata } from "../../images/Metadata.ts"
import { Upscalers } from "../../images/Upscalers.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import * as Infotext from "../../processing/Infotext.ts"
import { Options } from "../../processing/Options.ts"
import type { StoredImage } from "../../runs/RunRecord.ts"
import * as Samplers from "../../sampling/Samplers.ts"
import * as Schedules from "../../sampling/Schedules.ts"
import { ModelShelf } from "../host/ModelShelf.ts"
import { ModelTitles } from "../host/ModelTitles.ts"
import { type QueuedRun, RunQueue } from "../host/RunQueue.ts"
import { Submission } from "../v1/Submission.ts"
import * as Arguments from "./arguments.ts"
import { ToolError } from "./ToolError.ts"
import { type ImageFile, ToolImages, uriOf } from "./ToolImages.ts"

/** Says how far a call is: a part from 0 to 1, and a sentence for people. */
export const Report = Context.Reference<(part: number, message: string) => Effect.Effect<void>>(
  "serena/server/mcp/Report",
  { defaultValue: () => () => Effect.void }
)

/** What a tool gives. */
export interface Given {
  /** By the schema of the tool's output. */
  readonly structured: Readonly<Record<string, unknown>>
  /** For people, and for clients that read no structured output. */
  readonly text: string
  readonly images: ReadonlyArray<ImageFile>
}

export interface Tool {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly input: Schema.Top
  readonly output: Schema.Top
  /** Whether nothing is made or changed. */
  readonly isReadOnly: boolean
  readonly run: (given: Readonly<Record<string, unknown>>) => Effect.Effect<Given, Error, Services>
}

/** What the tools need. */
export type Services =
  | CommandOptions
  | ImageDecoder
  | ImageEncoder
  | ModelShelf
  | ModelTitles
  | Options
  | RunQueue
  | Submission
  | ToolImages
  | Upscalers

const types = { png: "image/png", jpg: "image/jpeg", webp: "image/webp" } as const

const partOf = ({ status }: QueuedRun): readonly [part: number, message: string] => {
  if (status._tag === "Queued") {
    return [0, status.ahead === 0 ? "Waits for its turn" : `Waits for ${status.ahead} other runs`]
  }
  if (status._tag !== "Running" || status.progress === undefined) return [0, "Begins"]
  const { activity, passCount, passesDone, samplingStep, samplingSteps, text } = status.progress
  const steps = samplingSteps === 0 ? 0 : samplingStep / samplingSteps
  const step = samplingStep === 0 ? activity : `Step ${samplingStep} of ${samplingSteps}`
  return [(passesDone + steps) / Math.max(1, passCount), text === "" ? step : `${text}, ${step}`]
}

// Submits a run and waits for its images. A call that is cancelled cancels its run.
const making = Effect.fnUntraced(function*({ model, ...given }: Readonly<Record<string, unknown>>) {
  const { submitFields } = yield* Submission
  const queue = yield* RunQueue
  const report = yield* Report
  const images = yield* ToolImages
  const { override_settings } = given
  const fields = model === undefined ? given : {
    ...given,
    override_settings: {
      ...(Predicate.isObject(override_settings) ? override_settings : undefined),
      sd_model_checkpoint: model
    }
  }
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const run = yield* restore(submitFields(fields))
      return yield* Effect.gen(function*() {
        yield* Stream.runForEach(queue.watch(run.id), (seen) => report(...partOf(seen)))
        const result = yield* queue.result(run.id)
        if (Option.isNone(result)) {
          return yield* new ToolError({ reason: "The server no longer holds the images of the run. Run it again." })
        }
        const files = yield* Effect.forEach(result.value.images, fileOf)
        const structured = {
          run: run.id,
          images: result.value.images.map((image) => madeImage(run.id, image)),
          warnings: result.value.warnings
        }
        const made: Given = { structured, text: textOf(structured), images: yield* images.fitted(files) }
        return made
      }).pipe(restore, Effect.onInterrupt(() => Effect.ignore(queue.cancel(run.id))))
    })
  )
})

const fileOf = Effect.fnUntraced(function*({ blob, format }: StoredImage) {
  const bytes = yield* Effect.flatMap(RunQueue, (queue) => queue.file(blob))
  if (Option.isSome(bytes)) return { bytes: bytes.value, mimeType: types[format] }
  return yield* new ToolError({ reason: "The server no longer holds the images of the run. Run it again." })
})

const madeImage = (run: string, { height, index, infotext, path, seed, width }: StoredImage) => ({
  uri: uriOf(run, index),
  width,
  height,
  seed: toJson(seed),
  infotext,
  path
})

const textOf = (
  { images, warnings }: {
    readonly images: ReadonlyArray<ReturnType<typeof madeImage>>
    readonly warnings: ReadonlyArray<string>
  }
): string =>
  [
    ...images.map(({ height, infotext, path, seed, uri, width }) =>
      `${uri} (${width}x${height}, seed ${seed}${path === null ? "" : `, saved as ${path}`})\n${infotext}`
    ),
    ...warnings.map((warning) => `Warning: ${warning}`)
  ].join("\n\n")

const edit = Effect.fnUntraced(function*({ image, mask, ...given }: Readonly<Record<string, unknown>>) {
  const { read } = yield* ToolImages
  return yield* making({
    ...given,
    _tag: "Img2Img",
    init_images: [yield* read("image", image)],
    ...(mask !== undefined && mask !== null && { mask: yield* read("mask", mask) })
  })
})

const decodeUpscale = Arguments.decodeOf(Arguments.Upscale)

const upscale = Effect.fnUntraced(function*(given: Readonly<Record<string, unknown>>) {
  const { factor = 2, image, upscaler } = yield* decodeUpscale(given)
  const { limits } = yield* CommandOptions
  const { decode } = yield* ImageDecoder
  const { encode } = yield* ImageEncoder
  const { list, scaleBy } = yield* Upscalers
  const images = yield* ToolImages
  const report = yield* Report
  const queue = yield* RunQueue
  const bytes = yield* images.read("image", image)
  const settings = yield* (yield* Options).snapshot
  const name = upscaler ?? (yield* list).find(({ path }) => path !== null)?.name ?? "Lanczos"
  const raster = yield* decode(bytes, limits)
  if (raster.width * raster.height * factor ** 2 > limits.max_image_pixels) {
    const reason = `factor: the result is over the limit of ${limits.max_image_pixels} pixels (max_image_pixels).`
    return yield* new ToolError({ reason })
  }
  const large = yield* queue.occupy(scaleBy(name, raster, factor, {
    tile: settings.ESRGAN_tile,
    overlap: settings.ESRGAN_tile_overlap,
    onTile: (done, of) => report(done / of, `Tile ${done} of ${of}`)
  }))
  const infotext = yield* Effect.orElseSucceed(
    Effect.map(readMetadata(bytes), (metadata) => parametersOf(metadata) ?? ""),
    () => ""
  )
  const format = formatOf(settings)
  const file = yield* encode({ raster: large, infotext }, format)
  const { height, width } = large
  const structured = { uri: yield* images.keep(file), width, height, upscaler: name, infotext }
  const result: Given = {
    structured,
    text: `${structured.uri} (${width}x${height}, by ${name})`,
    images: yield* images.fitted([{ bytes: file, mimeType: types[format.format] }])
  }
  return result
})

const decodeListModels = Arguments.decodeOf(Arguments.ListModels)

const listModels = Effect.fnUntraced(function*(given: Readonly<Record<string, unknown>>) {
  const query = yield* decodeListModels(given)
  const settings = yield* (yield* Options).snapshot
  const shelf = yield* ModelShelf
  const selected = yield* Effect.flatMap(ModelTitles, ({ ofName }) => ofName(settings.sd_model_checkpoint))
  const files = yield* shelf.list(query, settings)
  const upscalers = yield* Effect.flatMap(Upscalers, ({ list }) => list)
  const structured = {
    models: files.map(({ family, kind, name, problem, tag, trained_words }) => ({
      name,
      kind,
      family,
      tag,
      trained_words,
      selected: kind === "checkpoint" && name === selected?.name,
      problem
    })),
    upscalers: upscalers.map(({ name }) => name).filter((name) => name !== "None"),
    samplers: Samplers.all.map(({ name }) => name),
    schedulers: Schedules.all.map(({ label }) => label)
  }
  const lines = structured.models.map(({ family, kind, name, problem, selected, tag, trained_words }) =>
    [
      `${kind} ${tag === null ? name : `<lora:${tag}:1>`}`,
      ...(selected ? ["selected"] : []),
      ...(family === null ? [] : [family]),
      ...(trained_words.length === 0 ? [] : [`words: ${trained_words.slice(0, 20).join(", ")}`]),
      ...(problem === null ? [] : [`cannot be used: ${problem}`])
    ].join(", ")
  )
  const result: Given = {
    structured,
    text: [...lines, `upscalers: ${structured.upscalers.join(", ")}`].join("\n"),
    images: []
  }
  return result
})

const decodeReadInfotext = Arguments.decodeOf(Arguments.ReadInfotext)

const readInfotext = Effect.fnUntraced(function*(given: Readonly<Record<string, unknown>>) {
  const { image } = yield* decodeReadInfotext(given)
  const { read } = yield* ToolImages
  const metadata = yield* Effect.flatMap(read("image", image), readMetadata)
  const infotext = parametersOf(metadata) ?? null
  const parsed = infotext === null ? undefined : yield* Infotext.parsing(infotext)
  const parameters = Object.fromEntries(
    Object.entries(parsed?.fields ?? {}).map(([name, value]) => [name, String(value)])
  )
  const result: Given = {
    structured: { infotext, parameters, items: metadata.items },
    text: infotext ?? "The file does not say how it was made.",
    images: []
  }
  return result
})

/** All of them. */
export const tools: ReadonlyArray<Tool> = [
  {
    name: "generate",
    title: "Generate images",
    description: "Makes images of a text on the user's own machine. Gives the images, their seeds and infotexts; the " +
      "same seed and arguments give the same image again. Other fields of Serena's requests are taken too.",
    input: Arguments.Generate,
    output: Arguments.Images,
    isReadOnly: false,
    run: making
  },
  {
    name: "edit",
    title: "Change an image",
    description: "Changes an image as a text says: all of it, or where a mask is white. A low denoising_strength " +
      "keeps more of the image.",
    input: Arguments.Edit,
    output: Arguments.Images,
    isReadOnly: false,
    run: edit
  },
  {
    name: "upscale",
    title: "Enlarge an image",
    description: "Makes an image larger, with a network where the server has one.",
    input: Arguments.Upscale,
    output: Arguments.Upscaled,
    isReadOnly: false,
    run: upscale
  },
  {
    name: "list_models",
    title: "List models",
    description: "Lists the models, LoRAs, embeddings and other files that prompts and requests can name, with the " +
      "words that LoRAs were trained on, and the names of upscalers, samplers and schedules.",
    input: Arguments.ListModels,
    output: Arguments.Listed,
    isReadOnly: true,
    run: listModels
  },
  {
    name: "read_infotext",
    title: "Read how an image was made",
    description: "Reads the infotext of an image file: prompt, seed, model and settings.",
    input: Arguments.ReadInfotext,
    output: Arguments.ReadText,
    isReadOnly: true,
    run: readInfotext
  }
]
