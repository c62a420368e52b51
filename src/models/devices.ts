/**
 * Which devices this machine has, and what the others need.
 *
 * onnxruntime prints its own diagnostics for a device that is not there, or leaves it out and takes the processor
 * instead. So this is found out before it is asked.
 */
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import type { ProcessOptions } from "../processing/CommandOptions.ts"

type Device = ProcessOptions["device"]

/** Every device of the command options. */
export const all: ReadonlyArray<Device> = ["cpu", "cuda", "dml", "coreml", "webgpu"]

/** What decides. */
export interface Machine {
  readonly platform: NodeJS.Platform
  readonly arch: string
  /** Whether onnxruntime-node has this file of its own; undefined when its folder is not known. */
  readonly hasFile: (name: string) => boolean | undefined
  /** Whether the system loads a shared library of this name. */
  readonly loads: (library: string) => boolean
}

const systems: Readonly<Record<Exclude<Device, "cpu" | "webgpu">, readonly [name: string, system: NodeJS.Platform]>> = {
  cuda: ["CUDA", "linux"],
  dml: ["DirectML", "win32"],
  coreml: ["Core ML", "darwin"]
}

const systemNames: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: "Linux on x64",
  win32: "Windows",
  darwin: "macOS"
}

/** Libraries of the system that CUDA needs, and what contains them. */
const cudaLibraries = [
  ["libcuda.so.1", "the driver of the NVIDIA card"],
  ["libcudart.so.12", "CUDA 12"],
  ["libcudnn.so.9", "cuDNN 9 for CUDA 12"]
] as const

/** Why a device cannot be used, with what to install; `undefined` if nothing speaks against it. */
export const problemOf = (device: Device, machine: Machine = here): string | undefined => {
  if (device === "cpu") return undefined
  if (device === "webgpu") return webGpuProblem(machine)
  const [name, system] = systems[device]
  if (machine.platform !== system || (device === "cuda" && machine.arch !== "x64")) {
    const others = machine.platform === "win32" ? "dml, webgpu or cpu" : machine.platform === "darwin"
      ? "coreml, webgpu or cpu"
      : machine.arch === "x64"
      ? "cuda, webgpu or cpu"
      : "webgpu or cpu"
    return `onnxruntime-node has ${name} on ${systemNames[system]} only; use ${others}`
  }
  return device === "cuda" ? cudaProblem(machine) : undefined
}

const cudaProblem = ({ hasFile, loads }: Machine): string | undefined => {
  if (hasFile("libonnxruntime_providers_cuda.so") === false) {
    return "CUDA is not installed with onnxruntime-node; run ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild " +
      "onnxruntime-node, which downloads it, or use cpu"
  }
  const missing = cudaLibraries.filter(([library]) => !loads(library))
  return missing.length === 0 ?
    undefined :
    `CUDA needs ${missing.map(([library, name]) => `${name} (${library})`).join(", ")}, which ${
      missing.length === 1 ? "is" : "are"
    } not found; install ${missing.length === 1 ? "it" : "them"}, or name the folder in LD_LIBRARY_PATH, or use cpu`
}

const webGpuProblem = ({ loads, platform }: Machine): string | undefined =>
  platform === "linux" && !loads("libvulkan.so.1")
    ? "WebGPU needs Vulkan (libvulkan.so.1), which is not found; install the Vulkan loader (libvulkan1 on Debian and " +
      "Ubuntu, vulkan-loader on Fedora) and the driver of the graphics card, or use cpu"
    : undefined

// Where onnxruntime-node keeps its native files.
const nativeFolder = (): string | undefined => {
  try {
    const manifest = createRequire(import.meta.url).resolve("onnxruntime-node/package.json")
    return join(dirname(manifest), "bin", "napi-v6", process.platform, process.arch)
  } catch {
    return undefined
  }
}

// Node refuses a library that is no addon, but only after it has loaded it.
const loads = (library: string): boolean => {
  try {
    process.dlopen({ exports: {} }, library)
    return true
  } catch (error) {
    return error instanceof Error && error.message.includes("did not self-register")
  }
}

const here: Machine = {
  platform: process.platform,
  arch: process.arch,
  hasFile: (name) => {
    const folder = nativeFolder()
    return folder === undefined || !existsSync(folder) ? undefined : existsSync(join(folder, name))
  },
  loads
}
