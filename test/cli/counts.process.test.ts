/**
 * What a command does, in numbers that do not depend on the machine's speed: a change that makes it do more is seen
 * here before anyone measures time.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Record from "effect/Record"
import * as Schema from "effect/Schema"
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { start } from "./process.ts"

const project = fileURLToPath(new URL("../..", import.meta.url))
const counting = fileURLToPath(new URL("./counting.mjs", import.meta.url))

/** The published command, made for this where packages are found. */
const published = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const cache = join(project, "node_modules", ".cache")
  yield* fs.makeDirectory(cache, { recursive: true })
  const folder = yield* fs.makeTempDirectoryScoped({ directory: cache, prefix: "counted-" })
  const bundle = join("node_modules", ".cache", folder.slice(cache.length + 1))
  execFileSync(process.execPath, [join(project, "src", "cli", "bundleCommand.mjs"), bundle], { cwd: project })
  return join(folder, "cli", "main.js")
})

const Counts = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Int))

const counted = Effect.fnUntraced(function*(program: string, steps: number) {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const file = join(folder, "counts.json")
  const { end } = yield* start(
    ["txt2img", "--prompt", "a red circle", "--seed", "1", "--steps", `${steps}`, "--outdir", folder, "--quiet"],
    {
      program,
      node: ["--import", counting],
      env: { SERENA_COUNTS: file, NODE_COMPILE_CACHE: join(folder, "compiled") }
    }
  )
  const { code, stderr } = yield* end
  assert.strictEqual(code, 0, stderr)
  return yield* Schema.decodeEffect(Counts)(yield* fs.readFileString(file))
})

describe("serena txt2img", () => {
  it.effect("does as much as it did, for a run and for each of its steps", () =>
    Effect.gen(function*() {
      const program = yield* published
      const [one, eleven] = [yield* counted(program, 1), yield* counted(program, 11)]
      const eachStep = Record.map(one, (count, name) => ((eleven[name] ?? NaN) - count) / 10)
      const { bytesWritten, modules, opens, ...run } = one
      // Syncs of the image, and of its new folder and the one above it.
      assert.deepStrictEqual(run, { messages: 32, syncs: 3, writes: 4, largeArrays: 17 })
      // These depend a little on versions of Node and of packages.
      assert.isAtMost(modules ?? NaN, 110)
      assert.isAtMost(opens ?? NaN, 240)
      assert.isAtMost(bytesWritten ?? NaN, 25_000)
      // A request to the thread of the networks, and its reply.
      const { bytesWritten: _, ...step } = eachStep
      assert.deepStrictEqual(step, { modules: 0, messages: 2, syncs: 0, writes: 0, opens: 0, largeArrays: 0 })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
