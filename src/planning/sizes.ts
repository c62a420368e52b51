/**
 * The size of a request's first pass.
 */
import type { Size } from "../core/Geometry.ts"
import type { ModelInfo } from "../model/ModelInfo.ts"
import type { Processing } from "../processing/Processing.ts"
import type { Problems } from "./Problems.ts"

/** The largest multiple that is not above a length. */
export const floorTo = (length: number, multiple: number): number => Math.floor(length / multiple) * multiple

/** The size in pixels: the request's, that of the image it starts from, or the model's own. */
export const passSize = (
  { height, width }: Pick<Processing, "height" | "width">,
  { defaultSize, sizeMultiple }: ModelInfo,
  image: Size | undefined
): Size => {
  const own = image === undefined ? defaultSize : {
    width: Math.max(sizeMultiple, floorTo(image.width, sizeMultiple)),
    height: Math.max(sizeMultiple, floorTo(image.height, sizeMultiple))
  }
  return { width: width ?? own.width, height: height ?? own.height }
}

/** Sides that the model cannot make. */
export const sizeProblems = ({ height, width }: Size, { name, sizeMultiple }: ModelInfo): Problems =>
  [["width", width] as const, ["height", height] as const].flatMap(([path, value]) => {
    const below = floorTo(value, sizeMultiple)
    if (below === value) return []
    const near = below === 0 ? `${sizeMultiple} is` : `${below} and ${below + sizeMultiple} are`
    return [{ path, message: `${value} is not a multiple of ${sizeMultiple}, as ${name} needs it; ${near}` }]
  })
