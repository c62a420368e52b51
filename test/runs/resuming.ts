/** Runs that go on after images of an earlier attempt. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import type { Processed } from "../../src/runner/Processed.ts"
import * as MemoryBlobStore from "../../src/runs/MemoryBlobStore.ts"
import { keepExtras, keepImages } from "../../src/runs/stored.ts"
import { file, rectangle, slopes } from "../diffusion/pictures.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** A request, and how much of it an earlier attempt has finished. */
export const Case = Schema.Struct({
  kind: Schema.Literals(["txt2img", "hires", "img2img", "inpaint"]),
  n_iter: int(1, 4),
  batch_size: int(1, 3),
  /** Images that an earlier attempt has finished; the last of them may be part of a batch. */
  done: int(0, 12),
  seed: int(0, 1000),
  isVaried: Schema.Boolean,
  hasGrid: Schema.Boolean,
  hasMasks: Schema.Boolean,
  sampler_name: Schema.Literals(["Euler a", "DPM++ SDE", "DPM++ 2M"])
})
export type Case = typeof Case.Type

export const requestOf = Effect.fnUntraced(function*(one: Case, { saves, size }: { saves: boolean; size: number }) {
  const shared = {
    prompt: "a red heart",
    seed: one.seed,
    steps: 2,
    width: size,
    height: size,
    n_iter: one.n_iter,
    batch_size: one.batch_size,
    sampler_name: one.sampler_name,
    ...(one.isVaried && { subseed: 7, subseed_strength: 0.3 }),
    override_settings: {
      grid_save: one.hasGrid,
      return_grid: one.hasGrid,
      return_mask: one.hasMasks,
      return_mask_composite: one.hasMasks,
      save_mask: one.hasMasks,
      samples_save: saves,
      save_init_img: saves,
      save_txt: true
    }
  }
  if (one.kind === "txt2img" || one.kind === "hires") {
    return Txt2Img.make({ ...shared, enable_hr: one.kind === "hires", hr_scale: 1.5 })
  }
  const mask = one.kind === "inpaint" ? { mask: yield* file(rectangle([10, 10, 50, 40])) } : {}
  return Img2Img.make({ ...shared, ...mask, init_images: [yield* file(slopes())] })
})

/** The first images of a run and what belongs to them, as its record has them. */
export const kept = Effect.fnUntraced(function*({ extraImages, images }: Processed, count: number) {
  const first = images.slice(0, count)
  const theirs = extraImages.filter(({ index }) => index !== undefined && index < first.length)
  return { id: "r1", images: yield* keepImages(first, {}), extras: yield* keepExtras(theirs, {}) }
})

/** What a run shows: without the pixels of masks, of which only the files are kept, and without paths. */
export const shown = ({ extraImages, images, interrupted, warnings }: Processed) => ({
  images: images.map((image) => Struct.omit(image, ["extras", "path"])),
  extras: extraImages.map((extra) => Struct.omit(extra, ["path"])),
  interrupted,
  warnings
})

/** Where the files of runs are, and what reads them. */
export const blobs = Layer.merge(MemoryBlobStore.layer, ImageDecoder.layer)
