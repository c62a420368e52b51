/**
 * finalize: from pixels to files, given back and saved as the settings say.
 */
import * as Effect from "effect/Effect"
import type { Raster } from "../core/Raster.ts"
import * as FileNames from "../images/FileNames.ts"
import { grid } from "../images/Grid.ts"
import { formatFor, formatOf, ImageEncoder, type ImageFormat } from "../images/ImageEncoder.ts"
import { ImageStore } from "../images/ImageStore.ts"
import type { ImagePlan, ProcessingState } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Processing } from "../processing/Processing.ts"
import type {
  ExtraImage,
  ExtraKind,
  Generated,
  GeneratedImage,
  Processed,
  ProcessedImage
} from "../runner/Processed.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

/** The folder for a request's pictures. */
const folderOf = (processing: Processing, opts: OptionsSnapshot): string => {
  if (opts.outdir_samples !== "") return opts.outdir_samples
  return processing._tag === "Img2Img" ? opts.outdir_img2img_samples : opts.outdir_txt2img_samples
}

const gridFolderOf = (processing: Processing, opts: OptionsSnapshot): string => {
  if (opts.outdir_grids !== "") return opts.outdir_grids
  return processing._tag === "Img2Img" ? opts.outdir_img2img_grids : opts.outdir_txt2img_grids
}

const pictures = ({ batch_size, n_iter }: Processing): number => batch_size * n_iter

const hasGrid = (count: number, opts: OptionsSnapshot): boolean => count > 1 || !opts.grid_only_if_multiple

/** Sees that everything which is going to be saved can be. */
export const check = Effect.fnUntraced(function*(processing: Processing, opts: OptionsSnapshot) {
  const store = yield* ImageStore
  const folders = [
    ...(opts.samples_save ? [folderOf(processing, opts)] : []),
    ...(opts.samples_save && opts.grid_save && hasGrid(pictures(processing), opts)
      ? [gridFolderOf(processing, opts)]
      : []),
    ...(opts.save_init_img && processing._tag === "Img2Img" ? [opts.outdir_init_images] : [])
  ]
  yield* Effect.forEach(folders, store.check, { discard: true })
})

const rasterOf = ({ height, pixels, width }: GeneratedImage): Raster => ({ width, height, channels: 3, data: pixels })

const asPng: ImageFormat = { format: "png", quality: 100, lossless: true }

// What is added to a file's name.
const suffixes: Readonly<Record<ExtraKind, string>> = {
  "before highres fix": "-before-highres-fix",
  "before color correction": "-before-color-correction",
  "mask": "-mask",
  "mask composite": "-mask-composite"
}

const isSaved = (kind: ExtraKind, opts: OptionsSnapshot): boolean => {
  switch (kind) {
    case "before highres fix":
      return opts.save_images_before_highres_fix
    case "before color correction":
      return opts.save_images_before_color_correction
    case "mask":
      return opts.save_mask
    case "mask composite":
      return opts.save_mask_composite
  }
}

const isReturned = (kind: ExtraKind, opts: OptionsSnapshot): boolean =>
  (kind === "mask" && opts.return_mask) || (kind === "mask composite" && opts.return_mask_composite)

/** Which pictures of a picture's making are wanted at all. */
export const isWanted = (kind: ExtraKind, opts: OptionsSnapshot): boolean =>
  (opts.samples_save && isSaved(kind, opts)) || isReturned(kind, opts)

/** Pixels to files. A picture whose sampling was interrupted is encoded, and saved only when the settings say so. */
export const finalize = Effect.fn("finalize")(function*(state: ProcessingState, generated: Generated) {
  const { opts, state: live } = yield* RuntimeContext
  const encoder = yield* ImageEncoder
  const store = yield* ImageStore
  yield* live.update({ job: "saving", text: "" })
  const { processing } = state

  const encode = (raster: Raster, infotext: string, format: ImageFormat) =>
    encoder.encode({ raster, infotext: opts.enable_pnginfo ? infotext : "" }, format)
  const save = (facts: FileNames.FileNameFacts, bytes: Uint8Array, format: ImageFormat, more: {
    readonly suffix?: string
    readonly text?: string | undefined
  }) =>
    store.save({
      folder: folderOf(processing, opts),
      directory: FileNames.directory(FileNames.directoryPatternFor(opts, "samples"), facts),
      name: FileNames.fileName(FileNames.patternFor(opts, "samples"), facts) + (more.suffix ?? ""),
      number: opts.save_images_add_number,
      extension: format.format,
      bytes,
      text: more.text
    })

  yield* saveSources(state)
  const extraImages: Array<ExtraImage> = []
  const images = yield* Effect.forEach(
    generated.images,
    Effect.fnUntraced(function*(image) {
      const attributes = { "serena.image.index": image.index }
      const raster = rasterOf(image)
      const format = formatFor(raster, formatOf(opts))
      const facts = factsOf(state, opts, image, raster)
      const saves = opts.samples_save && (image.complete || opts.save_incomplete_images)

      for (const extra of image.extras) {
        if (!saves || !isSaved(extra.kind, opts) || !isBefore(extra.kind)) continue
        const bytes = yield* encode(extra.raster, image.infotext, format)
        yield* save(facts, bytes, format, { suffix: suffixes[extra.kind] })
      }
      const bytes = yield* Effect.withSpan(encode(raster, image.infotext, format), "encode", { attributes })
      const path = saves
        ? yield* Effect.withSpan(
          save(facts, bytes, format, { text: opts.save_txt ? image.infotext : undefined }),
          "save",
          { attributes }
        )
        : undefined
      for (const { kind, raster } of image.extras) {
        if (isBefore(kind)) continue
        // Masks and what is transparent lose nothing.
        const bytes = yield* encode(raster, "", asPng)
        const path = saves && isSaved(kind, opts)
          ? yield* save(facts, bytes, asPng, { suffix: suffixes[kind] })
          : undefined
        if (isReturned(kind, opts)) {
          extraImages.push({ kind, index: image.index, bytes, format: "png", path, infotext: "" })
        }
      }
      const processed: ProcessedImage = { ...image, bytes, format: format.format, path }
      return processed
    })
  )
  const whole = yield* makeGrid(state, generated)
  if (opts.samples_save && opts.save_params_txt && images.some(({ path }) => path !== undefined)) {
    const folder = folderOf(processing, opts)
    yield* store.replace({ folder, name: "params.txt" }, `${generated.images[0]?.infotext ?? ""}\n`)
  }
  yield* live.update({ job: "done" })
  const processed: Processed = { ...generated, images, extraImages: [...whole, ...extraImages], state }
  return processed
})

const isBefore = (kind: ExtraKind): boolean => kind === "before highres fix" || kind === "before color correction"

// All pictures in one, where the settings ask for it and there is more than one.
const makeGrid = Effect.fnUntraced(function*(state: ProcessingState, generated: Generated) {
  const { opts } = yield* RuntimeContext
  const encoder = yield* ImageEncoder
  const store = yield* ImageStore
  const { processing } = state
  const [first] = generated.images
  const saves = opts.grid_save && opts.samples_save && (!generated.interrupted || opts.save_incomplete_images)
  if (first === undefined || !hasGrid(generated.images.length, opts) || !(saves || opts.return_grid)) return []
  const raster = grid(generated.images.map(rasterOf), { rows: opts.n_rows, batchSize: processing.batch_size })
  const format = formatFor(raster, formatOf(opts, "grid"))
  const infotext = opts.enable_pnginfo ? first.infotext : ""
  const bytes = yield* encoder.encode({ raster, infotext }, format)
  const facts = factsOf(state, opts, first, raster)
  const path = saves
    ? yield* store.save({
      folder: gridFolderOf(processing, opts),
      directory: FileNames.directory(FileNames.directoryPatternFor(opts, "grid"), facts),
      name: FileNames.fileName(FileNames.patternFor(opts, "grid"), facts),
      number: "grid",
      extension: format.format,
      bytes
    })
    : undefined
  const whole: ExtraImage = { kind: "grid", index: undefined, bytes, format: format.format, path, infotext }
  return opts.return_grid ? [whole] : []
})

// The pictures that img2img started from, as they came.
const saveSources = Effect.fnUntraced(function*({ processing }: ProcessingState) {
  const { opts } = yield* RuntimeContext
  if (processing._tag !== "Img2Img" || !opts.save_init_img) return
  const store = yield* ImageStore
  for (const bytes of processing.init_images) {
    yield* store.save({
      folder: opts.outdir_init_images,
      directory: "",
      name: "init",
      number: true,
      extension: extensionOf(bytes),
      bytes
    })
  }
})

// Told by the first bytes; of kinds that are not known, nothing is said.
const extensionOf = (bytes: Uint8Array): string => {
  const start = Buffer.from(bytes.subarray(0, 12)).toString("latin1")
  if (start.startsWith("\u0089PNG")) return "png"
  if (start.startsWith("\u00FF\u00D8")) return "jpg"
  if (start.startsWith("GIF8")) return "gif"
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return "webp"
  return start.startsWith("BM") ? "bmp" : "img"
}

const factsOf = (
  state: ProcessingState,
  opts: OptionsSnapshot,
  { index, prompt, negativePrompt, seed }: ImagePlan,
  raster: Raster
): FileNames.FileNameFacts => {
  const { processing } = state
  const { batch_size } = processing
  const all = state.batches.flat()
  return {
    seed,
    seeds: { first: all[0]?.seed ?? seed, last: all.at(-1)?.seed ?? seed },
    steps: state.steps,
    cfg: processing.cfg_scale,
    width: raster.width,
    height: raster.height,
    styles: processing.styles,
    sampler: state.sampler,
    scheduler: state.scheduler,
    modelHash: state.model.hash,
    modelName: state.model.name,
    now: state.startedAt,
    prompt,
    promptNoStyles: processing.prompt,
    negativePrompt,
    batchNumber: index % batch_size + 1,
    batchSize: batch_size,
    generationNumber: all.length === 1 ? undefined : index + 1,
    clipSkip: state.clipSkip,
    denoising: state.source?.denoisingStrength ?? state.hires?.denoisingStrength,
    user: undefined,
    vae: undefined,
    basename: undefined,
    imageBytes: () => raster.data,
    maxPromptWords: opts.directories_max_prompt_words
  }
}
