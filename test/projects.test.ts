import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { Worker } from "node:worker_threads"

describe("a unit test", () => {
  it("cannot start a process", () => {
    assert.throws(() => spawn(process.execPath, ["--version"]), /^This test calls spawn\. .* X\.process\.test\.ts\.$/)
  })

  it("cannot load a native module", async () => {
    const [sharp] = await Promise.allSettled([import("sharp")])
    assert.strictEqual(sharp.status, "rejected")
    assert.throws(
      () => process.dlopen({ exports: {} }, "x.node"),
      /^This test loads x\.node\. .* X\.engine\.test\.ts\.$/
    )
  })

  it("cannot start a thread", () => {
    assert.throws(() => new Worker("data:text/javascript,"), /^This test starts the thread .* X\.engine\.test\.ts\.$/)
  })
})
