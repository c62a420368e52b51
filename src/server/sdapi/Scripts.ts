/**
 * Scripts that a request can name. Names are titles, in any case.
 *
 * Of the webui's selectable scripts there are `SD upscale`, `X/Y/Z plot` and `Prompt matrix`. Its always-on scripts
 * (`Seed`, `Sampler`, `Refiner`) are represented by the request's own fields; the arguments of `ControlNet` become
 * units.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { Raster } from "../../core/Raster.ts"
import { type ApiError, problem, refuse } from "./ApiError.ts"
import * as ControlNet from "./ControlNet.ts"
import { readFloat, readInt, readText } from "./Fields.ts"
import { type ImageRequest, isImg2Img } from "./ImageRequest.ts"
import * as PlotScripts from "./PlotScripts.ts"

/** An argument of a script as `script-info` shows it. */
export interface Argument {
  readonly label: string
  readonly value: string | number | boolean | null
  readonly minimum: number | null
  readonly maximum: number | null
  readonly step: number | null
  readonly choices: ReadonlyArray<string> | null
}

export interface ScriptInfo {
  readonly name: string
  readonly is_alwayson: boolean
  readonly is_img2img: boolean
  readonly args: ReadonlyArray<Argument>
}

const argument = (label: string, value: Argument["value"], more: Partial<Argument> = {}): Argument => ({
  label,
  value,
  minimum: null,
  maximum: null,
  step: null,
  choices: null,
  ...more
})

const upscaleArgs: ReadonlyArray<Argument> = [
  argument("", ""),
  argument("Tile overlap", 64, { minimum: 0, maximum: 256, step: 16 }),
  argument("Upscaler", "None"),
  argument("Scale Factor", 2, { minimum: 1, maximum: 4, step: 0.05 })
]

const alwaysOn = ["refiner", "sampler", "seed", ControlNet.script]

const alwaysOnFor = (is_img2img: boolean): ReadonlyArray<ScriptInfo> =>
  alwaysOn.map((name) => ({ name, is_alwayson: true, is_img2img, args: [] }))

const axisArgs = (name: string, types: ReadonlyArray<string>, type: string): ReadonlyArray<Argument> => [
  argument(`${name} type`, type, { choices: types }),
  argument(`${name} values`, ""),
  argument(`${name} values`, null)
]

const plotsFor = (is_img2img: boolean): ReadonlyArray<ScriptInfo> => {
  const types = PlotScripts.typesFor(is_img2img)
  return [
    {
      name: "prompt matrix",
      is_alwayson: false,
      is_img2img,
      args: [
        argument("Put variable parts at start of prompt", false),
        argument("Use different seed for each image", false),
        argument("Select prompt", "positive", { choices: ["positive", "negative"] }),
        argument("Select joining char", "comma", { choices: ["comma", "space"] }),
        argument("Grid margins (px)", 0, { minimum: 0, maximum: 500, step: 2 })
      ]
    },
    {
      name: "x/y/z plot",
      is_alwayson: false,
      is_img2img,
      args: [
        ...axisArgs("X", types, "Seed"),
        ...axisArgs("Y", types, "Nothing"),
        ...axisArgs("Z", types, "Nothing"),
        argument("Draw legend", true),
        argument("Include Sub Images", false),
        argument("Include Sub Grids", false),
        argument("Keep -1 for seeds", false)
      ]
    }
  ]
}

/** Every script, for both kinds of request. */
export const all: ReadonlyArray<ScriptInfo> = [
  ...alwaysOnFor(false),
  ...alwaysOnFor(true),
  ...plotsFor(false),
  ...plotsFor(true),
  { name: "sd upscale", is_alwayson: false, is_img2img: true, args: upscaleArgs }
]

/** Names only, as `scripts` lists them. */
export const names = {
  txt2img: all.filter(({ is_img2img }) => !is_img2img).map(({ name }) => name),
  img2img: all.filter(({ is_img2img }) => is_img2img).map(({ name }) => name)
}

/** What a script can use. */
export interface ScriptTools {
  /** Reads an image of the request. */
  readonly decode: (image: string | Uint8Array) => Effect.Effect<Raster, ApiError>
  /** Number of pixels by which the model's widths and heights must be divisible. */
  readonly multiple: number
}

export interface Script {
  /** Changes a request before it is decoded. */
  readonly change: (
    asked: Readonly<Record<string, unknown>>,
    tools: ScriptTools
  ) => Effect.Effect<Readonly<Record<string, unknown>>, ApiError>
  /** Whether the reply has no images but the grid. */
  readonly onlyGrid: boolean
}

/** The script that a request names, if any. Fails for names that no script has. */
export const find = Effect.fnUntraced(function*(request: ImageRequest): Effect.fn.Return<Script | undefined, ApiError> {
  for (const title of Object.keys(request.alwayson_scripts)) {
    const name = title.toLowerCase()
    if (alwaysOn.includes(name)) continue
    if (all.some((script) => script.name === name)) {
      return yield* refuse(422, "Cannot have a selectable script in the always on scripts params")
    }
    return yield* refuse(422, `Script '${title}' not found`)
  }
  const { script_name } = request
  if (script_name === null || script_name === "" || script_name.toLowerCase() === "none") return undefined
  switch (script_name.toLowerCase()) {
    case "prompt matrix":
      return plotted(yield* PlotScripts.promptMatrix(request.script_args, readText(request.prompt) ?? ""))
    case "x/y/z plot":
      return plotted(yield* PlotScripts.xyzPlot(request.script_args, isImg2Img(request)))
    case "sd upscale":
      if (isImg2Img(request)) {
        return { change: sdUpscale(request.init_images?.[0] ?? "", request.script_args), onlyGrid: false }
      }
  }
  return yield* refuse(422, `Script '${script_name}' not found`)
})

const plotted = ({ fields, onlyGrid }: PlotScripts.Plotted): Script => ({
  change: (asked) => Effect.succeed({ ...asked, ...fields }),
  onlyGrid
})

// Enlarges the image, then samples it in overlapping tiles of the requested size. The webui samples one tile after the
// other; here each step covers all tiles, so that no seams appear.
const sdUpscale =
  (image: string | Uint8Array, args: ReadonlyArray<unknown>): Script["change"] => (asked, { decode, multiple }) =>
    Effect.gen(function*() {
      const [, given_overlap, given_upscaler, given_scale] = args
      const overlap = readInt(given_overlap)
      const upscaler = readUpscaler(given_upscaler)
      const scale = readFloat(given_scale)
      if (overlap === undefined || upscaler === undefined || scale === undefined || !(scale >= 1 && scale <= 16)) {
        return yield* problem(
          ["body", "script_args"],
          "expected [\"\", tile overlap in pixels, upscaler, scale factor from 1 to 16]"
        )
      }
      const { height, width } = yield* decode(image)
      const { override_settings } = asked
      const fitting = (length: number) => Math.max(multiple, Math.floor(length / multiple) * multiple)
      return {
        ...asked,
        width: fitting(width * scale),
        height: fitting(height * scale),
        resize_mode: 0,
        override_settings: {
          ...(Predicate.isObject(override_settings) ? override_settings : {}),
          upscaler_for_img2img: upscaler,
          latent_tile_size: Math.max(readInt(asked["width"]) ?? 512, readInt(asked["height"]) ?? 512),
          latent_tile_overlap: Math.max(0, overlap)
        }
      }
    })

// The webui's page gives upscalers by index; its clients give names.
const readUpscaler = (value: unknown): string | undefined =>
  typeof value === "number" ? ["None", "Lanczos", "Nearest"][value] : readText(value)
