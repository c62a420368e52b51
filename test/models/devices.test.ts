import { assert, describe, it } from "@effect/vitest"
import { type Machine, problemOf } from "../../src/models/devices.ts"

const machine = (given: Partial<Machine>): Machine => ({
  platform: "linux",
  arch: "x64",
  hasFile: () => true,
  loads: () => true,
  ...given
})

describe("a device", () => {
  it("is available where nothing speaks against it, and the processor always is", () => {
    for (const device of ["cuda", "webgpu"] as const) assert.isUndefined(problemOf(device, machine({})))
    assert.isUndefined(problemOf("dml", machine({ platform: "win32" })))
    assert.isUndefined(problemOf("coreml", machine({ platform: "darwin", arch: "arm64" })))
    assert.isUndefined(problemOf("webgpu", machine({ platform: "win32", loads: () => false })))
    assert.isUndefined(problemOf("cuda", machine({ hasFile: () => undefined })))
    assert.isUndefined(problemOf("cpu", machine({ hasFile: () => false, loads: () => false })))
  })

  it.each<readonly [device: "cuda" | "dml" | "coreml" | "webgpu", given: Partial<Machine>, sentence: RegExp]>([
    ["cuda", { hasFile: () => false }, /ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node/],
    [
      "cuda",
      { loads: (name) => name !== "libcudnn.so.9" },
      /needs cuDNN 9 for CUDA 12 \(libcudnn\.so\.9\).*install it/
    ],
    ["cuda", { loads: () => false }, /the driver of the NVIDIA card \(libcuda\.so\.1\), CUDA 12 .*install them/],
    ["cuda", { platform: "win32" }, /CUDA on Linux on x64 only; use dml, webgpu or cpu/],
    ["cuda", { arch: "arm64" }, /CUDA on Linux on x64 only; use webgpu or cpu/],
    ["dml", {}, /DirectML on Windows only; use cuda, webgpu or cpu/],
    ["coreml", {}, /Core ML on macOS only; use cuda, webgpu or cpu/],
    ["dml", { platform: "darwin", arch: "arm64" }, /use coreml, webgpu or cpu/],
    ["webgpu", { loads: () => false }, /Vulkan \(libvulkan\.so\.1\).*install the Vulkan loader/]
  ])("that is not there is named with what to install: %s", (device, given, sentence) => {
    assert.match(problemOf(device, machine(given)) ?? "", sentence)
  })

  it("is looked for in the system's libraries", () => {
    const other = process.platform === "win32" ? "coreml" : "dml"
    assert.match(problemOf(other) ?? "", /onnxruntime-node has/)
  })
})
