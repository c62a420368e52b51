/**
 * The files of `test/data/checkpoints`, which lie there packed.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"
import type { ElementType } from "../../../src/models/checkpoint/WeightSource.ts"

const data = fileURLToPath(new URL("../../data/checkpoints/", import.meta.url))

/** Contents of one file, by its name without `.gz`: `adapters/sd1-kohya.safetensors`. */
export const contents = (name: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(gunzipSync(readFileSync(join(data, `${name}.gz`))))

/** Names of all files that a pattern matches, without `.gz`: `checkpoints/*.safetensors`. */
export const matching = (pattern: string): ReadonlyArray<string> =>
  globSync(`${pattern}.gz`, { cwd: data }).map((name) => name.slice(0, -".gz".length).replaceAll("\\", "/")).toSorted()

/** Unpacks the files that patterns match into a folder that lasts as long as the scope; returns the folder. */
export const unpack = Effect.fnUntraced(function*(...patterns: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.realPath(yield* fs.makeTempDirectoryScoped())
  for (const name of patterns.flatMap(matching)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), contents(name))
  }
  return folder
})

/** Names, element types and shapes of a full-size checkpoint: `sdxl-base`. */
export const realLayout = (
  name: string
): ReadonlyArray<readonly [name: string, type: ElementType, shape: Array<number>]> => {
  const layout: Readonly<Record<string, [ElementType, Array<number>]>> = JSON.parse(
    Buffer.from(contents(`real-layouts/${name}.json`)).toString()
  )
  return Object.entries(layout).map(([name, [type, shape]]) => [name, type, shape])
}
