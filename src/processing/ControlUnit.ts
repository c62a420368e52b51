/**
 * A ControlNet of a request: the image that the result follows, how, and by which model.
 *
 * Fields, defaults and meaning are those of sd-webui-controlnet's units; choices are words instead of numbers.
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { field } from "../core/Field.ts"
import { type NamedStruct, withDefault } from "../core/Schemas.ts"
import type * as FieldTypes from "./FieldTypes.ts"
import { ImageBytes } from "./ImageBytes.ts"

const share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const name = Schema.String.check(Schema.isMaxLength(1000))

const controlUnit = Schema.Struct({
  enabled: withDefault(Schema.Boolean, true).pipe(
    field({ title: "Enable", description: "Whether the unit acts.", group: "ControlNet" })
  ),
  model: withDefault(name, "").pipe(
    field({
      title: "Model",
      description: "The ControlNet, by its file's name, with or without the hash.",
      group: "ControlNet",
      otherwise: "required"
    })
  ),
  image: Schema.optional(ImageBytes).pipe(
    field({
      title: "Image",
      description: "The image to follow.",
      group: "ControlNet",
      otherwise: "the first init image"
    })
  ),
  mask: Schema.optional(ImageBytes).pipe(
    field({
      title: "Mask",
      description: "What the preprocessor inpaint_only hides of the image: white areas.",
      group: "ControlNet",
      otherwise: "the request's mask"
    })
  ),
  module: withDefault(name, "none").pipe(
    field({
      title: "Preprocessor",
      description: "What is made of the image for the ControlNet: canny finds edges, none leaves it as it is.",
      group: "ControlNet"
    })
  ),
  weight: withDefault(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2 })), 1).pipe(
    field({
      title: "Control weight",
      description: "How closely the result follows the image: 0 not at all.",
      group: "ControlNet"
    })
  ),
  guidance_start: withDefault(share, 0).pipe(
    field({
      title: "Starting control step",
      description: "Share of the steps after which the unit begins to act.",
      group: "ControlNet"
    })
  ),
  guidance_end: withDefault(share, 1).pipe(
    field({
      title: "Ending control step",
      description: "Share of the steps after which it ceases to act.",
      group: "ControlNet"
    })
  ),
  control_mode: withDefault(Schema.Literals(["balanced", "prompt", "control"]), "balanced").pipe(
    field({
      title: "Control mode",
      description: "What counts more where they disagree: prompt gives the deeper layers more weight, control " +
        "does so for the prompt and leaves the negative prompt alone.",
      group: "ControlNet"
    })
  ),
  resize_mode: withDefault(Schema.Literals(["resize", "crop", "fill"]), "crop").pipe(
    field({
      title: "Resize mode",
      description: "How an image of other proportions is brought to size: resize stretches it, crop cuts it, fill " +
        "continues its edges.",
      group: "ControlNet"
    })
  ),
  pixel_perfect: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Pixel Perfect",
      description: "Whether the preprocessor works at the size that the image will have.",
      group: "ControlNet"
    })
  ),
  processor_res: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 64, maximum: 2048 }))).pipe(
    field({
      title: "Preprocessor resolution",
      description: "The shorter side of the image that the preprocessor works on.",
      group: "ControlNet",
      unit: "pixels",
      value: "integer",
      otherwise: "512"
    })
  ),
  threshold_a: Schema.optional(Schema.Finite).pipe(
    field({
      title: "Threshold A",
      description: "The preprocessor's first number: canny's lower threshold, for example.",
      group: "ControlNet",
      value: "number",
      otherwise: "the preprocessor's own"
    })
  ),
  threshold_b: Schema.optional(Schema.Finite).pipe(
    field({
      title: "Threshold B",
      description: "Its second number: canny's upper threshold.",
      group: "ControlNet",
      value: "number",
      otherwise: "the preprocessor's own"
    })
  ),
  low_vram: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Low VRAM",
      description: "Accepted and ignored: lowvram is an option of the process.",
      group: "ControlNet"
    })
  )
}).annotate({ identifier: "ControlUnit" })

export const ControlUnit: NamedStruct<typeof controlUnit.fields, ControlUnit, FieldTypes.ControlUnitInput> = controlUnit
export interface ControlUnit extends FieldTypes.ControlUnit {}

/** Most units of one request. */
export const mostUnits = 10

/** Whether a unit changes anything at all. */
export const isActing = ({ enabled, weight }: ControlUnit): boolean => enabled && weight > 0

/** Choices as sd-webui-controlnet names them, in the order of its numbers. */
export const unitWords = {
  control_mode: {
    balanced: "Balanced",
    prompt: "My prompt is more important",
    control: "ControlNet is more important"
  },
  resize_mode: { resize: "Just Resize", crop: "Crop and Resize", fill: "Resize and Fill" }
} as const

/** A unit without what it follows. */
export const withoutImages = (unit: ControlUnit): Omit<ControlUnit, "image" | "mask"> =>
  Struct.omit(unit, ["image", "mask"])
