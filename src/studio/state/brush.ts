/**
 * The brushes: of the mask, and of the sketch on an init image.
 */
import { isRecord } from "../api.ts"
import { kept } from "./persist.ts"
import { isColor } from "./strokes.ts"

export interface Brush {
  readonly erases: boolean
  /** Its diameter, as a fraction of the image's longer side. */
  readonly share: number
  /** Of a sketch: `#rrggbb`. */
  readonly color: string
}

const keptBrush = (key: string, usual: number) =>
  kept(key, (value): Brush => {
    const { color, erases, share }: Readonly<Record<string, unknown>> = isRecord(value) ? value : {}
    return {
      erases: erases === true,
      share: typeof share === "number" && share > 0 && share <= 0.5 ? share : usual,
      color: isColor(color) ? color : "#d03030"
    }
  })

export const brushes = { inpaint: keptBrush("brush", 0.12), img2img: keptBrush("sketchBrush", 0.04) }
