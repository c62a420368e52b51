import { assert, describe, it } from "@effect/vitest"
import { shortPaths, shownError } from "../../src/runs/shownErrors.ts"
import { everyError } from "../runner/everyError.ts"

const absolute = /(?:^|[\s"'(])(?:\/|[a-zA-Z]:\\)\w/

describe("Errors that clients see", () => {
  it("have no absolute path, in their fields and in their sentence", () => {
    for (const error of Object.values(everyError)) {
      const shown = shownError(error)
      assert.strictEqual(shown._tag, error._tag)
      assert.notMatch(shown.message, absolute)
      assert.notMatch(JSON.stringify(shown), /"\//)
    }
  })

  it.each([
    ["/home/ada/models/foo/unet/model.onnx", "model.onnx"],
    ["/home/ada/my models/foo", "foo"],
    ["C:\\Users\\ada\\models\\foo\\", "foo"],
    ["Load model from /models/a/unet.onnx failed:Protobuf", "Load model from unet.onnx failed:Protobuf"],
    ["ENOSPC: no space left on device, write '/var/out/0.png'", "ENOSPC: no space left on device, write '0.png'"],
    ["C:\\a\\b.onnx does not load", "b.onnx does not load"],
    ["see https://example.org/a/b", "see https://example.org/a/b"],
    ["half/half and 1/2, and / alone", "half/half and 1/2, and / alone"],
    ["GET /v1/runs lists them", "GET runs lists them"]
  ])("cut paths to their last names: %s", (text, short) => {
    assert.strictEqual(shortPaths(text), short)
  })
})
