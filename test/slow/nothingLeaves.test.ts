/**
 * A run reads and writes only what Serena says it does, and contacts nobody.
 *
 * The command runs under strace, with a home folder of its own. Without strace (on anything but Linux) the test fails:
 * what it promises cannot be seen there.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

/** What a run wrote into its home folder, and the calls that name a place of the network or of the disk. */
const traced = async (environment: NodeJS.ProcessEnv) => {
  const home = await mkdtemp(join(tmpdir(), "serena-home-"))
  try {
    const trace = join(home, "trace.txt")
    // Nothing else of this process's environment: onnxruntime keeps quiet by itself where CI, TF_BUILD and the like say
    // that a build server runs, and the test would see no calls whatever Serena does.
    const { PATH } = process.env
    // The kernel passes on no other calls, which would each stop the program otherwise.
    const strace = ["-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,openat,unlink", "-o", trace]
    await promisify(execFile)(
      "strace",
      [...strace, process.execPath, main, "txt2img", "a red circle", "--steps", "1", "--outdir", "out"],
      { cwd: home, env: { PATH, HOME: home, ...environment } }
    )
    const files = (await readdir(home, { recursive: true })).filter((file) =>
      /[^/]\.\w+$/.test(file) && file !== "trace.txt"
    )
    return { files, calls: (await readFile(trace, "utf8")).split("\n") }
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

/** The model's hash, kept for later runs. */
const isHash = (file: string): boolean => /^\.local\/share\/serena\/hashes\/[0-9a-f]{32}\.json$/.test(file)

const isImage = (file: string): boolean => /^out\/\d{4}-\d{2}-\d{2}\/00000-\d+\.png$/.test(file)

describe("A run of the command line", () => {
  it("writes an image, params.txt and a hash only, connects to nothing, and reads no id of the machine", async () => {
    const { calls, files } = await traced({})
    assert.deepStrictEqual(files.filter((file) => !isImage(file) && !isHash(file)), ["out/params.txt"])
    assert.deepStrictEqual([files.filter(isImage).length, files.filter(isHash).length], [1, 1])
    assert.isAbove(calls.length, 100)
    assert.deepStrictEqual(calls.filter((call) => /\b(connect|sendto)\(/.test(call)), [])
    assert.deepStrictEqual(calls.filter((call) => /machine-id|Microsoft|\.onnxruntime/.test(call)), [])
  })

  it("leaves onnxruntime's telemetry on where the user asked for it, so the check above can fail", async () => {
    const { calls } = await traced({ ORT_DISABLE_TELEMETRY: "0" })
    assert.isNotEmpty(calls.filter((call) => /machine-id|\.onnxruntime/.test(call)))
  })
})
