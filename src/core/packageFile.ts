/**
 * The files that come with this package.
 */
import { findPackageJSON } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const manifest = findPackageJSON(import.meta.url)

// The package is found from its sources, from what is built of them, and from the bundle of the command alike.
const root = manifest === undefined ? fileURLToPath(new URL("../..", import.meta.url)) : dirname(manifest)

/** The path of a file or folder of this package. */
export const packageFile = (...names: ReadonlyArray<string>): string => join(root, ...names)
