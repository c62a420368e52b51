/**
 * finalize: from pixels to files, given back and saved as the settings say.
 */
import * as Effect from "effect/Effect"
import type { Raster } from "../core/Raster.ts"
import * as FileNames from "../images/FileNames.ts"
import * as FileSignature from "../images/FileSignature.ts"
import { formatFor, formatOf, ImageEncoder, type ImageFormat } from "../images/ImageEncoder.ts"
import { type ImageCodecError, SaveError } from "../images/ImageError.ts"
import { ImageStore } from "../images/ImageStore.ts"
import type { PlotLabels } from "../images/Plot.ts"
import * as RasterWork from "../images/RasterWork.ts"
import { hashedPlan, type ImagePlan, partOf, type RunPlan } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import {
  type EncodedImage,
  type ExtraImage,
  extraImagesOf,
  type ExtraKind,
  type Generated,
  type GeneratedImage,
  type Processed,
  processedOf,
  type WrittenImage
} from "../runner/Processed.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

/** The folder for a request's images. */
const folderOf = (processing: Processing, opts: OptionsSnapshot): string => {
  if (opts.outdir_samples !== "") return opts.outdir_samples
  return processing._tag === "Img2Img" ? opts.outdir_img2img_samples : opts.outdir_txt2img_samples
}

const gridFolderOf = (processing: Processing, opts: OptionsSnapshot): string => {
  if (opts.outdir_grids !== "") return opts.outdir_grids
  return processing._tag === "Img2Img" ? opts.outdir_img2img_grids : opts.outdir_txt2img_grids
}

const imageCount = ({ batch_size, n_iter }: Processing): number => batch_size * n_iter

const hasGrid = (count: number, opts: OptionsSnapshot): boolean => count > 1 || !opts.grid_only_if_multiple

/** Sees that everything which is going to be saved can be. */
export const check = Effect.fnUntraced(function*(processing: Processing, opts: OptionsSnapshot) {
  const store = yield* ImageStore
  const folders = [
    ...(opts.samples_save ? [folderOf(processing, opts)] : []),
    ...(opts.samples_save && opts.grid_save && hasGrid(imageCount(processing), opts)
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

/** Whether the settings ask for an auxiliary image, to be saved or returned. */
export const isWanted = (kind: ExtraKind, opts: OptionsSnapshot): boolean =>
  (opts.samples_save && isSaved(kind, opts)) || isReturned(kind, opts)

/** Writes the images of a run to files, in the order in which they are given. */
export interface Writer {
  /**
   * Encodes images, with the infotexts of the plan, and saves them where the settings say so. An image whose sampling
   * was interrupted is saved only when the settings ask for that.
   */
  readonly write: (
    images: ReadonlyArray<GeneratedImage>,
    plan: RunPlan
  ) => Effect.Effect<ReadonlyArray<GeneratedImage>, WriteError>
}

export type WriteError = ImageCodecError | SaveError

// A failed save says which images of the run are safe.
const withSaved = (saved: ReadonlyArray<string>) => (error: WriteError): WriteError =>
  error._tag === "SaveError" ? new SaveError({ ...error, saved }) : error

/**
 * Makes the writer of a run. Init images are saved first, and `params.txt` with the first image, unless an earlier
 * attempt at the run has done so. `onWritten` is given each image as soon as those that are written with it are safe.
 */
export const makeWriter = Effect.fnUntraced(function*(
  prepared: RunPlan,
  opts: OptionsSnapshot,
  onWritten: (image: GeneratedImage) => Effect.Effect<void> = () => Effect.void
) {
  const encoder = yield* ImageEncoder
  const store = yield* ImageStore
  const folder = folderOf(prepared.processing, opts)
  const plannedTexts = textsOf(prepared)
  const { state: { finished } } = yield* RuntimeContext
  const saved = finished.flatMap(({ written }) => written?.file.path ?? [])
  let hasSources = finished.length > 0
  let hasParams = saved.length > 0

  const encode = (raster: Raster, infotext: string, format: ImageFormat) =>
    Effect.map(
      encoder.encode({ raster, infotext: opts.enable_pnginfo ? infotext : "" }, format),
      (bytes): EncodedImage => ({ bytes, format: format.format })
    )
  const save = (facts: FileNames.FileNameFacts, { bytes, format }: EncodedImage, more: {
    readonly suffix?: string
    readonly text?: string | undefined
  }) =>
    store.save({
      folder,
      directory: FileNames.directory(FileNames.directoryPatternFor(opts, "samples"), facts),
      name: FileNames.fileName(FileNames.patternFor(opts, "samples"), facts) + (more.suffix ?? ""),
      number: opts.save_images_add_number,
      extension: format,
      bytes,
      text: more.text
    })

  const writeOne = Effect.fnUntraced(function*(image: GeneratedImage, plan: RunPlan) {
    const attributes = { "serena.image.index": image.index }
    const raster = rasterOf(image)
    const format = formatFor(raster, formatOf(opts))
    const facts = factsOf(plan, opts, image, raster)
    const saves = opts.samples_save && (image.complete || opts.save_incomplete_images)

    for (const extra of image.extras) {
      if (!saves || !isSaved(extra.kind, opts) || !isBefore(extra.kind)) continue
      const file = yield* encode(extra.raster, image.infotext, format)
      yield* save(facts, file, { suffix: suffixes[extra.kind] })
    }
    const file = image.file ??
      (yield* Effect.withSpan(encode(raster, image.infotext, format), "encode", { attributes }))
    const path = saves
      ? yield* Effect.withSpan(
        save(facts, file, { text: opts.save_txt ? image.infotext : undefined }),
        "save",
        { attributes }
      )
      : undefined
    if (path !== undefined) saved.push(path)
    const extraImages: Array<ExtraImage> = []
    for (const { file: sent, kind, raster } of image.extras) {
      if (isBefore(kind)) continue
      // Masks and what is transparent lose nothing.
      const file = sent ?? (yield* encode(raster, "", asPng))
      const path = saves && isSaved(kind, opts)
        ? yield* save(facts, file, { suffix: suffixes[kind] })
        : undefined
      if (isReturned(kind, opts)) extraImages.push({ kind, index: image.index, ...file, path, infotext: "" })
    }
    if (path !== undefined && opts.save_params_txt && !hasParams) {
      hasParams = true
      yield* store.replace({ folder, name: "params.txt" }, `${image.infotext}\n`)
    }
    const written: WrittenImage = { file: { ...file, path }, extraImages }
    return { ...image, written }
  })

  const writer: Writer = {
    write: Effect.fnUntraced(function*(images, plan) {
      const texts = textsOf(plan)
      // A text that is not the plan's came with the image.
      const textOf = ({ index, infotext }: GeneratedImage) =>
        plannedTexts.get(index) === infotext ? texts.get(index) ?? infotext : infotext
      const fresh: Array<GeneratedImage> = []
      const all = Effect.gen(function*() {
        if (!hasSources) {
          hasSources = true
          yield* saveSources(plan, opts).pipe(Effect.provideService(ImageStore, store))
        }
        const whole: Array<GeneratedImage> = []
        for (const image of images) {
          const one = image.written === undefined
            ? yield* writeOne({ ...image, infotext: textOf(image) }, plan)
            : image
          if (one !== image) fresh.push(one)
          whole.push(one)
        }
        return whole
      })
      // Also those before one that cannot be saved.
      const announced = Effect.suspend(() => Effect.forEach(fresh, onWritten, { discard: true }))
      return yield* Effect.ensuring(store.together(all), announced)
    }, Effect.mapError((error) => withSaved(saved)(error)))
  }
  return writer
})

const textsOf = ({ batches }: RunPlan): ReadonlyMap<number, string> =>
  new Map(batches.flat().map(({ index, infotext }) => [index, infotext]))

/** Pixels to files: writes what execute has not written, and the grid. */
export const finalize = Effect.fn("finalize")(function*(prepared: RunPlan, generated: Generated) {
  const { opts, state: live } = yield* RuntimeContext
  yield* live.update({ activity: "saving", text: "" })
  const plan = yield* hashedPlan(prepared)
  const { write } = yield* makeWriter(prepared, opts)
  const unwritten = generated.images.some(({ written }) => written === undefined)
  const written = unwritten ? yield* write(generated.images, plan) : generated.images
  const images = written.flatMap(processedOf)
  const saved = images.flatMap(({ path }) => path === undefined ? [] : [path])
  const whole = yield* Effect.mapError(makeGrid(plan, generated, opts), withSaved(saved))
  yield* live.update({ activity: "done" })
  const processed: Processed = {
    ...generated,
    images,
    extraImages: [...whole, ...written.flatMap(extraImagesOf)],
    state: plan
  }
  return processed
})

const isBefore = (kind: ExtraKind): boolean => kind === "before highres fix" || kind === "before color correction"

// All images in one, where the settings ask for it and there is more than one.
const makeGrid = Effect.fnUntraced(function*(plan: RunPlan, generated: Generated, opts: OptionsSnapshot) {
  const encoder = yield* ImageEncoder
  const store = yield* ImageStore
  const { processing } = plan
  const [first] = generated.images
  const saves = (opts.grid_save || plan.plot !== undefined) && opts.samples_save &&
    (!generated.interrupted || opts.save_incomplete_images)
  const isMade = plan.plot !== undefined || (hasGrid(generated.images.length, opts) && (saves || opts.return_grid))
  if (first === undefined || !isMade) return []
  const raster = plan.plot === undefined
    ? yield* RasterWork.makeGrid(generated.images.map(rasterOf), {
      rows: opts.n_rows,
      batchSize: processing.batch_size
    })
    : yield* RasterWork.makePlot(yield* cellsOf(plan, plan.plot, generated), plan.plot)
  const format = formatFor(raster, formatOf(opts, "grid"))
  const infotext = opts.enable_pnginfo ? first.infotext : ""
  const bytes = yield* encoder.encode({ raster, infotext }, format)
  const facts = factsOf(plan, opts, first, raster)
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
  return opts.return_grid || plan.plot !== undefined ? [whole] : []
})

// The images of each cell as one, where there are any.
const cellsOf = Effect.fnUntraced(function*(plan: RunPlan, { x, y, z }: PlotLabels, { images }: Generated) {
  const cells = x.length * y.length * z.length
  const count = plan.batches.flat().length / cells
  const byCell = Map.groupBy(images, ({ index }) => Math.floor(index / count))
  return yield* Effect.forEach(
    Array.from({ length: cells }, (_, i) => byCell.get(i) ?? []),
    ([first, ...others]) =>
      first === undefined
        ? Effect.undefined
        : others.length === 0
        ? Effect.succeed(rasterOf(first))
        : RasterWork.makeGrid([first, ...others].map(rasterOf), { rows: -1, batchSize: 1 })
  )
})

// The images that img2img started from, as they came.
const saveSources = Effect.fnUntraced(function*({ processing }: RunPlan, opts: OptionsSnapshot) {
  if (processing._tag !== "Img2Img" || !opts.save_init_img) return
  const store = yield* ImageStore
  for (const bytes of processing.init_images) {
    const format = FileSignature.sniff(bytes)
    yield* store.save({
      folder: opts.outdir_init_images,
      directory: "",
      name: "init",
      number: true,
      extension: format === undefined ? "img" : FileSignature.extensions[format],
      bytes
    })
  }
})

const factsOf = (
  run: RunPlan,
  opts: OptionsSnapshot,
  { index, prompt, negativePrompt, seed }: ImagePlan,
  raster: Raster
): FileNames.FileNameFacts => {
  const plan = partOf(run, index)
  const { processing } = plan
  const { batch_size } = processing
  const all = run.batches.flat()
  return {
    seed,
    seeds: { first: all[0]?.seed ?? seed, last: all.at(-1)?.seed ?? seed },
    steps: plan.steps,
    cfg: processing.cfg_scale,
    width: raster.width,
    height: raster.height,
    styles: processing.styles,
    sampler: plan.sampler.name,
    scheduler: plan.scheduler.label,
    modelHash: plan.model.hash,
    modelName: plan.model.name,
    now: plan.startedAt,
    prompt,
    promptNoStyles: processing.prompt,
    negativePrompt,
    batchNumber: index % batch_size + 1,
    batchSize: batch_size,
    generationNumber: all.length === 1 ? undefined : index + 1,
    clipSkip: plan.clipSkip,
    denoising: plan.source?.denoisingStrength ?? plan.hires?.denoisingStrength,
    user: undefined,
    vae: plan.model.vae?.name,
    basename: undefined,
    imageBytes: () => raster.data,
    maxPromptWords: opts.directories_max_prompt_words
  }
}
