/**
 * Why a network's file did not load, in plain words, as far as its bytes show: onnxruntime names its own source files
 * and tensors.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { empty, isPointer, pointer } from "./folderFiles.ts"
import * as Onnx from "./onnx/Onnx.ts"
import { skeleton } from "./onnx/skeleton.ts"

/** What is wrong with the file of a network, or with a file that its weights are in; undefined if nothing is seen. */
export const loadProblem = (file: string): string | undefined => {
  const own = contentsProblem(file)
  if (own !== undefined) return own
  try {
    const { graph } = Onnx.read(skeleton(file))
    const ends = new Map<string, number>()
    for (const { data } of graph.initializers) {
      if (data === undefined || data instanceof Uint8Array) continue
      ends.set(data.location, Math.max(ends.get(data.location) ?? 0, data.offset + data.length))
    }
    for (const [location, end] of ends) {
      const weights = join(dirname(file), location)
      const problem = contentsProblem(weights) ?? lengthProblem(weights, end)
      if (problem !== undefined) return `its weights are in ${location}: ${problem}`
    }
    return undefined
  } catch (error) {
    return error instanceof Error ? `${error.message} (${sizeOf(file)} bytes)` : undefined
  }
}

const sizeOf = (file: string): number | undefined => statSync(file, { throwIfNoEntry: false })?.size

const contentsProblem = (file: string): string | undefined => {
  const size = sizeOf(file)
  if (size === undefined) return "the file is missing"
  if (size === 0) return empty
  const start = Buffer.alloc(64)
  const handle = openSync(file, "r")
  try {
    readSync(handle, start, 0, start.length, 0)
  } finally {
    closeSync(handle)
  }
  return isPointer(start.toString("latin1")) ? pointer : undefined
}

const lengthProblem = (file: string, end: number): string | undefined => {
  const size = sizeOf(file) ?? 0
  return size >= end ? undefined : `the file has ${size} bytes of at least ${end}; download it again`
}
