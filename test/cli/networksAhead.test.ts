import { assert, describe, it, vi } from "@effect/vitest"
import { existsSync } from "node:fs"
import { networksAhead } from "../../src/cli/networksAhead.ts"

describe("The networks that open while the command loads", () => {
  it("are those of the embedded model, where arguments and folders name no other", () => {
    vi.stubEnv("SERENA_DATA_DIR", "")
    vi.stubEnv("SERENA_MODELS_DIR", "")
    vi.stubEnv("XDG_DATA_HOME", "/nowhere")
    const files = networksAhead(["txt2img", "a red circle", "--steps=1"])
    assert.lengthOf(files, process.platform === "linux" ? 3 : files.length)
    assert.isTrue(files.every((file) => existsSync(file)))
    for (const other of [["--model", "mine"], ["--models-dir=mine"], ["--threads", "2"]]) {
      assert.deepStrictEqual(networksAhead(["txt2img", "a red circle", ...other]), [])
    }
    vi.stubEnv("SERENA_MODELS_DIR", "mine")
    assert.deepStrictEqual(networksAhead(["txt2img", "a red circle"]), [])
    vi.unstubAllEnvs()
  })
})
