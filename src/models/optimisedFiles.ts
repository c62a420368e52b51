/**
 * Where optimised networks lie, and which of them may stand for a graph.
 *
 * Each checkpoint has a folder in the data folder, and each of its networks a folder in that, named by a key and by the
 * bytes of its files. The key is made of the graph, of the files of its weights (path, size, time), of Serena's and
 * onnxruntime's versions and of the processor, so a network stands for the very graph it was made of and for no other:
 * one with adapters, for seamless images or with a ControlNet has another key. A folder has this name once it is whole.
 */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { createRequire } from "node:module"
import { arch, cpus, platform } from "node:os"
import { join, resolve } from "node:path"
import { version } from "../version.ts"
import type { GraphFile } from "./graph/Graph.ts"

const digest = (...parts: ReadonlyArray<string | Uint8Array>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part).update("\n")
  return hash.digest("hex").slice(0, 32)
}

/** The files of an optimised network: its graph and its weights. */
export const fileNames = { graph: "model.onnx", weights: "model.data" } as const

/** The folder of optimised networks in a data folder. */
export const cacheIn = (dataDir: string): string => resolve(dataDir, "optimized")

/** The folder of a checkpoint's optimised networks. */
export const folderOf = (cache: string, checkpoint: string): string => join(cache, digest(resolve(checkpoint)))

// What the processor can do; only Linux says it.
const features = (): string => {
  try {
    return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[0] ?? ""
  } catch {
    return ""
  }
}

let known: string | undefined

/** What an optimised network depends on next to its graph: the versions, and the processor. */
export const environment = (): string =>
  known ??= digest(
    version,
    readFileSync(createRequire(import.meta.url).resolve("onnxruntime-node/package.json")),
    platform(),
    arch(),
    cpus()[0]?.model ?? "",
    features()
  )

/** The key of a graph's optimised network. */
export const keyOf = ({ bytes, files }: GraphFile): string => digest(environment(), JSON.stringify(files), bytes)

/** The name of a network's folder. */
export const entryName = (key: string, bytes: number): string => `${key}-${bytes}`

/** The bytes of the files in a network's folder. */
export const bytesIn = (folder: string): number =>
  Object.values(fileNames).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
    0
  )

/** The whole optimised network of a graph, as the path of its ONNX file; undefined where there is none. */
export const findOptimised = (cache: string, checkpoint: string, graph: GraphFile): string | undefined => {
  const folder = folderOf(cache, checkpoint)
  try {
    const names = readdirSync(folder)
    if (names.length === 0) return undefined
    const key = keyOf(graph)
    const entry = names.find((name) =>
      name.startsWith(`${key}-`) && name === entryName(key, bytesIn(join(folder, name)))
    )
    return entry === undefined ? undefined : join(folder, entry, fileNames.graph)
  } catch {
    return undefined
  }
}
