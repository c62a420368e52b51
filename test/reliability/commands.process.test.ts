import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { filesIn, lines, serena, start, temporaryFolder } from "../cli/process.ts"
import { cannotLimit, controlGroup } from "./controlGroup.ts"
import { faults } from "./faults.ts"
import { cannotMount, imagesIn, trying, unshare } from "./trying.ts"

const run = (outdir: string) => ["txt2img", "a heart", "--outdir", outdir, "--steps", "10", "--n-iter", "100"]

const { container, diskFull, killed } = faults.Commands

describe("a command", () => {
  trying(killed, (time) =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const command = yield* start(run(outdir))
      yield* command.said(new RegExp(`batch (?:[${2 + time}-9]|\\d\\d)/`))
      yield* command.send("SIGKILL")
      const { code, stderr } = yield* command.end
      assert.strictEqual(code, 137)
      const current = Math.max(...Array.from(stderr.matchAll(/batch (\d+)\//g), ([, batch]) => Number(batch)))
      const { areWhole, count } = yield* imagesIn(outdir)
      assert.isTrue(areWhole)
      // Before the current batch come those that are saved, and one that may be on its way.
      assert.isAtLeast(count, current - 2)
      // What the batch in flight left behind, the next command on this folder removes.
      const { code: next } = yield* serena(["txt2img", "a heart", "--outdir", outdir, "--steps", "1"])
      assert.strictEqual(next, 0)
      assert.deepStrictEqual((yield* filesIn(outdir)).filter((name) => !name.endsWith(".png")), [])
    }))

  trying(diskFull, () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const copies = yield* temporaryFolder
      // A file system of its own, which only this command sees.
      const script =
        `mount -t tmpfs -o size=200k tmpfs ${outdir} && "$@"; code=$?; cp -r ${outdir}/. ${copies}; exit $code`
      const { code, stderr, stdout } = yield* serena(run(outdir), {
        through: [...unshare, "sh", "-c", script, "sh"]
      })
      assert.strictEqual(code, 1, stderr)
      assert.include(stderr, "the disk is full")
      const saved = lines(stdout)
      assert.isAtLeast(saved.length, 1)
      assert.isBelow(saved.length, 100)
      assert.isTrue((yield* imagesIn(copies)).areWhole)
      assert.deepStrictEqual((yield* filesIn(copies)).map((name) => `${outdir}/${name}`), saved)
    }), cannotMount)

  trying(container, () =>
    Effect.gen(function*() {
      const group = yield* controlGroup(900 * 2 ** 20)
      const outdir = yield* temporaryFolder
      const limited = (...args: ReadonlyArray<string>) =>
        serena(["txt2img", "a heart", "--outdir", outdir, "--steps", "1", ...args], {
          through: ["sh", "-c", `echo $$ > ${group}/cgroup.procs && exec "$@"`, "sh"]
        })
      // Its scores alone would take 2.5 GiB at once.
      const made = yield* limited("--width", "768", "--height", "768")
      assert.strictEqual(made.code, 0, made.stderr)
      const refused = yield* limited("--width", "2048", "--height", "2048", "--set", "vae_tile_threshold=0")
      assert.strictEqual(refused.code, 1, refused.stderr)
      assert.match(refused.stderr, /2048x2048 pixels with shapes-128 needs [01]\.\d+ GiB, and 0\.\d+ GiB is available/)
      assert.include(refused.stderr, "the container")
      assert.strictEqual((yield* imagesIn(outdir)).count, 1)
    }), cannotLimit)
})
