import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { folderWith, lines, run, runEach } from "./reader.ts"

class Folder extends Context.Service<Folder, string>()("test/Folder") {}

const Entry = Schema.Struct({
  at: Schema.String,
  run: Schema.NonEmptyString,
  outcome: Schema.String,
  stage: Schema.optionalKey(Schema.String),
  error: Schema.optionalKey(Schema.String),
  prompt: Schema.optionalKey(Schema.String),
  seeds: Schema.optionalKey(Schema.Array(Schema.Int))
})

const decodeEntry = Schema.decodeUnknownSync(Schema.fromJsonString(Entry))

const folder = Layer.effect(Folder, folderWith("hooks"))

layer(folder, { excludeTestServices: true })("hooks of a user's own", (it) => {
  it.effect("compose: each sees every run, and a chat that is unavailable is notified again", () =>
    Effect.gen(function*() {
      const folder = yield* Folder
      const { code, stderr, stdout } = yield* run(folder, "together.mts")
      assert.strictEqual(code, 0, stderr)
      const told = lines(stdout)
      assert.deepStrictEqual(told.slice(0, 3), [
        "chat: unavailable",
        "chat: unavailable",
        "chat: {\"text\":\"1 of \\\"a yellow star on a black background\\\"\"}"
      ])
      assert.match(told[3] ?? "", /WARN.*seed 1 has no watermark/)
      assert.deepStrictEqual(told.slice(4), [
        "chat: {\"text\":\"1 of \\\"a red circle on a white background\\\"\"}",
        "without a watermark: 1"
      ])

      const log = yield* Effect.promise(() => readFile(join(folder, "audit.jsonl"), "utf8"))
      const entries = lines(log).map((line) => decodeEntry(line))
      assert.deepStrictEqual(
        entries.map(({ outcome, prompt, seeds, stage }) => ({ outcome, prompt, seeds, stage })),
        [
          { outcome: "done", prompt: "a yellow star on a black background", seeds: [1], stage: undefined },
          { outcome: "done", prompt: "a red circle on a white background", seeds: [1], stage: undefined },
          { outcome: "failed", prompt: undefined, seeds: undefined, stage: "prepare" }
        ]
      )
      assert.match(entries[2]?.error ?? "", /^UnknownSampler: No sampler is named "Yuler"/)
      assert.strictEqual(new Set(entries.map((entry) => entry.run)).size, 3)
    }))

  it.effect("keep their order, leave runs alone, and leave refusals to the pipeline", () =>
    Effect.gen(function*() {
      const folder = yield* Folder
      const { stdout: [order, isolated, unreachable, quota] } = yield* runEach(folder, [
        "order.mts",
        "isolated.mts",
        "unreachable.mts",
        "quota.mts",
        "interrupted.mts"
      ])
      assert.deepStrictEqual(order, [
        "first: prepared",
        "second: prepared",
        "first: starts",
        "second: starts",
        "second: ends",
        "first: ends"
      ])

      assert.match(isolated?.[0] ?? "", /ERROR.*A hook failed in onExecute/)
      assert.strictEqual(isolated?.at(-1), "images: 1")
      assert.match(unreachable?.[0] ?? "", /ERROR.*A hook failed in onFinalize/)
      assert.strictEqual(unreachable?.at(-1), "images: 1")

      assert.deepStrictEqual(quota, [
        "guest: 2 images",
        "The request cannot be processed. Correct n_iter: guest requested 2 and has 1 left.",
        "member: 3 images"
      ])

      const log = yield* Effect.promise(() => readFile(join(folder, "interrupted.jsonl"), "utf8"))
      assert.deepStrictEqual(
        lines(log).map((line) => decodeEntry(line)).map(({ outcome, stage }) => [outcome, stage]),
        [["interrupted", "execute"]]
      )
    }))
})
