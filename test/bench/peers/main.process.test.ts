import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { project } from "../../docs/pages.ts"

const refused = (...given: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ["test/bench/peers/main.ts", ...given], {
    cwd: project,
    encoding: "utf8"
  })
  assert.deepStrictEqual({ status, stdout }, { status: 1, stdout: "" })
  return stderr
}

describe("the bench of peers", () => {
  it("says what is wrong with what it was given", { timeout: 120_000 }, () => {
    assert.strictEqual(
      refused("--python", "/no/python"),
      "\"/no/python\" could not be started: spawnSync /no/python ENOENT. Name a Python that has diffusers.\n"
    )
    assert.strictEqual(
      refused("--sd-cpp", process.execPath),
      `"${process.execPath}" is not the command of stable-diffusion.cpp. Try the path of its "sd-cli".\n`
    )
    assert.strictEqual(refused("--size", "250"), "--size is \"250\". Give a multiple of 64 from 64 to 2048.\n")
  })
})
