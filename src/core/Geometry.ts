/**
 * Sizes and rectangles of pixels.
 */

/** A size in pixels. */
export interface Size {
  readonly width: number
  readonly height: number
}

/** A rectangle of pixels; `right` and `bottom` are the first column and row outside of it. */
export interface Region {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** The rectangle of a whole image. */
export const regionOf = ({ height, width }: Size): Region => ({ left: 0, top: 0, right: width, bottom: height })
