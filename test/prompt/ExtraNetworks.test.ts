import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as ExtraNetworks from "../../src/prompt/ExtraNetworks.ts"
import { Fragments, join } from "./fixtures.ts"

const tag = (
  kind: string,
  positional: ReadonlyArray<string>,
  named: Readonly<Record<string, string>> = {}
): ExtraNetworks.ExtraNetwork => ({ kind, positional, named: new Map(Object.entries(named)) })

describe("ExtraNetworks.extract", () => {
  it.each<readonly [string, string, ReadonlyArray<ExtraNetworks.ExtraNetwork>]>([
    ["a <lora:x:0.5> cat", "a  cat", [tag("lora", ["x", "0.5"])]],
    ["<lora:x>", "", [tag("lora", ["x"])]],
    ["<lora:x:te=0.5:unet=0.2>", "", [tag("lora", ["x"], { te: "0.5", unet: "0.2" })]],
    ["<lora:a:1><lora:b:2>", "", [tag("lora", ["a", "1"]), tag("lora", ["b", "2"])]],
    ["(<lora:x:1>:1.2)", "(:1.2)", [tag("lora", ["x", "1"])]],
    ["[<lora:x:1>::5]", "[::5]", [tag("lora", ["x", "1"])]],
    ["< lora:x:1>", "< lora:x:1>", []],
    ["<lora:x:1", "<lora:x:1", []],
    ["<b>", "<b>", []],
    ["<b:>", "<b:>", []],
    ["<:3", "<:3", []],
    ["a <nobody:knows>", "a ", [tag("nobody", ["knows"])]],
    ["<b:><lora:x>", "<b:>", [tag("lora", ["x"])]],
    ["<<lora:x>", "<", [tag("lora", ["x"])]],
    ["<lora:a=b=c>", "", [tag("lora", ["a=b=c"])]]
  ])("%j leaves %j", (prompt, text, networks) => {
    assert.deepStrictEqual(ExtraNetworks.extract(prompt), { text, networks })
  })

  it.prop("never makes text longer, and finds each tag that it prints", [Fragments], ([fragments]) => {
    const prompt = join(fragments)
    const { networks, text } = ExtraNetworks.extract(prompt)
    assert.isAtMost(text.length, prompt.length)
    assert.deepStrictEqual(
      ExtraNetworks.extract(networks.map(ExtraNetworks.print).join("")).networks.map(({ kind }) => kind),
      networks.map(({ kind }) => kind)
    )
  })
})

const only = (prompt: string): ExtraNetworks.ExtraNetwork => ExtraNetworks.extract(prompt).networks[0] ?? tag("", [])

describe("ExtraNetworks.lora", () => {
  it.each<readonly [string, ExtraNetworks.Lora]>([
    ["<lora:x>", { name: "x", textEncoderWeight: 1, networkWeight: 1, dynamicRank: undefined }],
    ["<lora:x:0.5>", { name: "x", textEncoderWeight: 0.5, networkWeight: 0.5, dynamicRank: undefined }],
    ["<lora:x:0.5:.25:8>", { name: "x", textEncoderWeight: 0.5, networkWeight: 0.25, dynamicRank: 8 }],
    ["<lora:x:te=0.5:unet=0.2>", { name: "x", textEncoderWeight: 0.5, networkWeight: 0.2, dynamicRank: undefined }],
    ["<lora:x:1:2:dyn=4:te=-3>", { name: "x", textEncoderWeight: -3, networkWeight: 2, dynamicRank: 4 }],
    ["<lora:x:te=3>", { name: "x", textEncoderWeight: 3, networkWeight: 3, dynamicRank: undefined }]
  ])("reads %s", (prompt, expected) => {
    assert.deepStrictEqual(Result.getOrThrow(ExtraNetworks.lora(only(prompt))), expected)
  })

  it.each([
    ["<lora:x:abc>", "The prompt's <lora:x:abc> cannot be used: \"abc\" is not a number."],
    ["<lora:te=1>", "The prompt's <lora:te=1> cannot be used: it names no file."],
    [
      "<lora:x:1:1:1.5>",
      "The prompt's <lora:x:1:1:1.5> cannot be used: \"1.5\" is not a rank, which is a whole number."
    ]
  ])("refuses %s", (prompt, message) => {
    const result = ExtraNetworks.lora(only(prompt))
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) assert.include(result.failure.message, message)
  })
})

describe("ExtraNetworks.hypernetwork", () => {
  it("reads a name and a weight", () => {
    const read = (prompt: string) => Result.getOrThrow(ExtraNetworks.hypernetwork(only(prompt)))
    assert.deepStrictEqual(read("<hypernet:h>"), { name: "h", weight: 1 })
    assert.deepStrictEqual(read("<hypernet:h:0.3>"), { name: "h", weight: 0.3 })
  })
})
