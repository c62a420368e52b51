/**
 * The brush of the mask.
 */
import { isRecord } from "../api.ts"
import { kept } from "./persist.ts"

export interface Brush {
  readonly erases: boolean
  /** Its diameter, as a fraction of the image's longer side. */
  readonly share: number
}

export const brush = kept("brush", (value): Brush => ({
  erases: isRecord(value) && value["erases"] === true,
  share: isRecord(value) && typeof value["share"] === "number" && value["share"] > 0 && value["share"] <= 0.5
    ? value["share"]
    : 0.12
}))
