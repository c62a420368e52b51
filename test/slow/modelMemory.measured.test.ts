import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { checkpoint, saved } from "../models/checkpoint/savedTensors.ts"
import { embedded, platform } from "../models/fixtures.ts"

const script = fileURLToPath(new URL("./modelMemoryProcess.ts", import.meta.url))

// By default glibc keeps freed memory for each thread apart, more of it the busier the machine is.
const env = { ...process.env, MALLOC_ARENA_MAX: "2", MALLOC_TRIM_THRESHOLD_: "100000" }

/** What the measured process prints: sizes in MiB. */
const measured = (...args: ReadonlyArray<string>) =>
  Effect.map(
    Effect.promise(() => promisify(execFile)(process.execPath, ["--expose-gc", script, ...args], { env })),
    ({ stdout }): ReadonlyArray<number> => {
      const found: unknown = JSON.parse(stdout)
      return Array.isArray(found) ? found.map(Number) : []
    }
  )

const median = (sizes: ReadonlyArray<number>) => sizes.toSorted((a, b) => a - b)[sizes.length >> 1] ?? NaN

describe("memory", () => {
  it.live("does not grow when models take turns", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dir = yield* fs.makeTempDirectoryScoped()
      for (const name of ["a", "b", "c", "d"]) yield* fs.symlink(embedded, `${dir}/${name}`)
      const sizes = yield* measured("switch", dir)
      assert.lengthOf(sizes, 32)
      // The allocator's heap finds its shape in the first ten uses, and moves by a few MiB after that. A model that was
      // not given back would show each time, with the size of its weights at least.
      const [second = 0] = sizes.slice(1)
      const settled = median(sizes.slice(8, 16))
      assert.isBelow(settled - second, 40, sizes.map(Math.round).join(" "))
      assert.isBelow(median(sizes.slice(24)) - settled, 15, sizes.map(Math.round).join(" "))
    }).pipe(Effect.provide(platform)))

  it.live("of a checkpoint is given back when another takes its place", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dir = yield* fs.makeTempDirectoryScoped()
      for (const name of ["a", "b"]) yield* fs.writeFile(`${dir}/${name}.safetensors`, saved(checkpoint("sd15")))
      const sizes = yield* measured("checkpoints", dir)
      assert.lengthOf(sizes, 6)
      // Each takes some 25 MiB in addition to its file, which is mapped: three that stayed would take 80.
      assert.isBelow((sizes[5] ?? NaN) - (sizes[2] ?? NaN), 60, sizes.map(Math.round).join(" "))
    }).pipe(Effect.provide(platform)))

  it.live("for decoding 512 x 512 pixels is little more than for denoising them, and none with little memory", () =>
    Effect.gen(function*() {
      const [denoised = 0, decoded = Infinity] = yield* measured("peak")
      assert.isBelow(decoded - denoised, 120, `${denoised} then ${decoded} MiB`)
      const [fewDenoised = 0, fewDecoded = Infinity] = yield* measured("peak-lowvram")
      assert.isBelow(fewDecoded - fewDenoised, 10, `${fewDenoised} then ${fewDecoded} MiB with little memory`)
    }))
})
