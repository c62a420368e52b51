/**
 * Errors as clients see them: without the folders of this machine. The log has them in full.
 */
import * as Schema from "effect/Schema"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import * as Errors from "../runner/ProcessingError.ts"

// Errors about the request hold the client's own words only.
const aboutRequest: ReadonlySet<ProcessingError["_tag"]> = new Set([
  "InvalidProcessing",
  "InvalidOptions",
  "UnknownSampler",
  "UnknownScheduler",
  "UnknownUpscaler"
])

const encode = Schema.encodeSync(Errors.ProcessingError)
const decode = Schema.decodeUnknownSync(Errors.ProcessingError)

/** The same error, in which files and folders have only their last names. */
export const shownError = (error: ProcessingError): ProcessingError =>
  aboutRequest.has(error._tag) ? error : decode(withoutFolders(encode(error)))

const withoutFolders = (value: unknown): unknown => {
  if (typeof value === "string") return shortPaths(value)
  if (Array.isArray(value)) return value.map(withoutFolders)
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutFolders(inner)]))
    : value
}

/** A text in which absolute paths, of any platform, are cut to their last names. Addresses of the web stay. */
export const shortPaths = (text: string): string =>
  // A text that is a path altogether may have blanks in it.
  wholePath.test(text) && !text.includes(": ") ? lastName(text) : text.replaceAll(pathInText, lastName)

const wholePath = /^(?:\/|[a-zA-Z]:[\\/]|\\\\)[^\n]*$/
const pathInText = /(?<![\w.~:/\\-])(?:[a-zA-Z]:[\\/]|\\\\|\/)[^\s"'`<>|:,;()]*[^\s"'`<>|:,;().]/g

const lastName = (path: string): string => path.replace(/[\\/]+$/, "").split(/[\\/]/).at(-1) ?? path
