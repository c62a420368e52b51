import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { fileUrl, hubOf, parse, shown } from "../../../src/models/hub/reference.ts"

const hub = Result.getOrThrow(hubOf({}))
const read = (text: string, env: Readonly<Record<string, string>> = {}) =>
  Result.match(parse(text, Result.getOrThrow(hubOf(env))), {
    onFailure: (problem) => problem,
    onSuccess: (reference) => `${reference._tag} ${shown(reference)}`
  })

describe("what a user asks to fetch", () => {
  it("is a repository, a file of one, or an address", () => {
    const cases: ReadonlyArray<readonly [string, string]> = [
      ["owner/name", "Repository owner/name"],
      [" owner/name.v2/ ", "Repository owner/name.v2"],
      ["owner/name@fp16", "Repository owner/name@fp16"],
      ["owner/name@refs/pr/3", "Repository owner/name@refs/pr/3"],
      ["owner/name/unet/a b.safetensors", "File owner/name/unet/a b.safetensors"],
      ["owner/name@v1/a.safetensors", "File owner/name@v1/a.safetensors"],
      ["owner/name@refs/pr/3/a.safetensors", "File owner/name@refs/pr/3/a.safetensors"],
      ["https://huggingface.co/owner/name", "Repository owner/name"],
      ["huggingface.co/owner/name/tree/v1", "Repository owner/name@v1"],
      ["https://huggingface.co/owner/name/blob/main/a/b.safetensors", "File owner/name/a/b.safetensors"],
      ["https://hf.co/owner/name/resolve/v1/b%20c.safetensors?download=true", "File owner/name@v1/b c.safetensors"],
      ["hf://owner/name/b.safetensors", "File owner/name/b.safetensors"],
      [
        "https://huggingface.co/datasets/a/b/resolve/main/x.pt",
        "Address https://huggingface.co/datasets/a/b/resolve/main/x.pt"
      ],
      ["https://civitai.com/api/download/models/1?token=secret", "Address https://civitai.com/api/download/models/1"]
    ]
    for (const [text, expected] of cases) assert.strictEqual(read(text), expected)
  })

  it("is read against the hub that HF_ENDPOINT names", () => {
    const env = { HF_ENDPOINT: "https://mirror.example/hf/" }
    assert.strictEqual(read("https://mirror.example/hf/owner/name/blob/main/a.ckpt", env), "File owner/name/a.ckpt")
    assert.strictEqual(read("https://huggingface.co/owner/name", env), "Repository owner/name")
    const file = { repository: "owner/name", revision: "refs/pr/1", path: "a b/c#d.safetensors" }
    assert.strictEqual(
      fileUrl(Result.getOrThrow(hubOf(env)), file).href,
      "https://mirror.example/hf/owner/name/resolve/refs%2Fpr%2F1/a%20b/c%23d.safetensors"
    )
    assert.isTrue(Result.isFailure(hubOf({ HF_ENDPOINT: "mirror" })))
    assert.isTrue(Result.isFailure(hubOf({ HF_TOKEN: "a\nb" })))
  })

  it("is refused with what is expected", () => {
    const cases: ReadonlyArray<readonly [string, RegExp]> = [
      ["", /name a repository \(owner\/name\)/],
      ["dreamshaper", /name a repository \(owner\/name\)/],
      ["./model.safetensors", /name a repository/],
      ["../../etc/passwd", /name a repository/],
      ["owner/name/../../x.safetensors", /no name of a file/],
      ["owner/name/a\\b.safetensors", /no name of a file/],
      ["owner/name@a..b", /no revision/],
      ["https://huggingface.co/owner/name/resolve/main/..%2f..%2fx.pt", /no name of a file/],
      ["ftp://example.com/a.safetensors", /begin with https/]
    ]
    for (const [text, expected] of cases) assert.match(read(text), expected, text)
    assert.strictEqual(hub.endpoint, "https://huggingface.co")
  })
})
