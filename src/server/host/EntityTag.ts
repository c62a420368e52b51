/**
 * Conditional requests (`If-None-Match`).
 */

/** Whether a client has the file with this tag. A weak tag stands for the same bytes as a strong one. */
export const hasTag = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch !== undefined &&
  ifNoneMatch.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag)
