/**
 * Why a file could not be written, in words.
 */
import type * as PlatformError from "effect/PlatformError"

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file is larger than allowed here",
  ENOENT: "no folder can be made there",
  EACCES: "there is no permission to write there",
  EPERM: "there is no permission to write there",
  EROFS: "the file system is read-only",
  EEXIST: "a file has the name of the folder",
  ENOTDIR: "a part of the path is a file, not a folder",
  EISDIR: "a folder has the name of the file",
  ENAMETOOLONG: "the name is too long"
}

/** The error code of the system, such as `ENOSPC`. */
export const codeOf = ({ reason: { cause } }: PlatformError.PlatformError): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

/** The reason as a clause, such as `the disk is full`. */
export const reasonOf = (error: PlatformError.PlatformError): string => {
  const code = codeOf(error)
  return (code === undefined ? undefined : reasons[code]) ?? (code ?? error.reason.message)
}
