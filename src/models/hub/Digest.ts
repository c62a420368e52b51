/**
 * Checksums of files, as the hub writes them.
 */

/** SHA-256, or the id that git gives a small file, of which the size is a part. */
export interface Digest {
  readonly kind: "sha256" | "git"
  /** In hexadecimal digits. */
  readonly hex: string
}

const digestOf = (kind: Digest["kind"], pattern: RegExp, text = ""): Digest | undefined => {
  const hex = pattern.exec(text)?.[1]
  return hex === undefined ? undefined : { kind, hex }
}

/** The checksum of a large file, from the hub's list or an entity tag; undefined for any other text. */
export const sha256Of = (text: string | undefined): Digest | undefined =>
  digestOf("sha256", /^(?:W\/)?"?([0-9a-f]{64})"?$/, text)

/** The same of a small file. */
export const gitOf = (text: string | undefined): Digest | undefined =>
  digestOf("git", /^(?:W\/)?"?([0-9a-f]{40})"?$/, text)
