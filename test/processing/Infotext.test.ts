import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Infotext from "../../src/processing/Infotext.ts"

const common = [
  ["CFG scale", Infotext.float(7)],
  ["Seed", 5],
  ["Size", "64x64"],
  ["Model hash", "535cf750e0"],
  ["Model", "tiny"]
] as const
const version = ["Version", "1.10.1"] as const
const commonText = "CFG scale: 7.0, Seed: 5, Size: 64x64, Model hash: 535cf750e0, Model: tiny"

const eulerA = [["Steps", 2], ["Sampler", "Euler a"], ["Schedule type", "Automatic"], ...common] as const
const eulerAText = `Steps: 2, Sampler: Euler a, Schedule type: Automatic, ${commonText}`

describe("Infotext.format", () => {
  it("writes prompt and parameters on lines of their own", () => {
    assert.strictEqual(
      Infotext.format({ prompt: "a cat", negativePrompt: "", parameters: [...eulerA, version] }),
      `a cat\n${eulerAText}, Version: 1.10.1`
    )
  })

  it("labels the negative prompt, on a line between them", () => {
    assert.strictEqual(
      Infotext.format({
        prompt: "a cat",
        negativePrompt: "bad, ugly",
        parameters: [["Steps", 2], ["Sampler", "DPM++ 2M"], ["Schedule type", "Karras"], ...common, version]
      }),
      `a cat\nNegative prompt: bad, ugly\nSteps: 2, Sampler: DPM++ 2M, Schedule type: Karras, ${commonText}, Version: 1.10.1`
    )
  })

  it("keeps the lines of prompts as they are", () => {
    assert.strictEqual(
      Infotext.format({ prompt: "a\nb", negativePrompt: "c\nd", parameters: [["Steps", 2], version] }),
      "a\nb\nNegative prompt: c\nd\nSteps: 2, Version: 1.10.1"
    )
    assert.strictEqual(
      Infotext.format({ prompt: "a cat \ndog", negativePrompt: "", parameters: [["Steps", 2]] }),
      "a cat \ndog\nSteps: 2"
    )
  })

  it("leaves just the parameters when there is no prompt", () => {
    assert.strictEqual(
      Infotext.format({ prompt: "", negativePrompt: "", parameters: [["Steps", 2], ["Sampler", "Euler"]] }),
      "Steps: 2, Sampler: Euler"
    )
  })

  it("begins with the label when there is only a negative prompt", () => {
    assert.strictEqual(
      Infotext.format({ prompt: "", negativePrompt: "x", parameters: [["Steps", 2]] }),
      "Negative prompt: x\nSteps: 2"
    )
  })

  it("strips white space at both ends of the whole", () => {
    assert.strictEqual(
      Infotext.format({ prompt: " \n a cat", negativePrompt: "", parameters: [["Extra", " "]] }),
      "a cat\nExtra:"
    )
  })

  it("writes what was restored before the size", () => {
    const parameters = [["Seed", 5], ["Face restoration", "CodeFormer"], ["Size", "64x64"], ["Tiling", "True"]] as const
    assert.strictEqual(
      Infotext.format({ prompt: "", negativePrompt: "", parameters: [...parameters, version] }),
      "Seed: 5, Face restoration: CodeFormer, Size: 64x64, Tiling: True, Version: 1.10.1"
    )
  })

  it("leaves out pairs without a value and writes a value that equals its key as the bare key", () => {
    assert.strictEqual(
      Infotext.format({
        prompt: "",
        negativePrompt: "",
        parameters: [["Steps", 2], ["Model hash", undefined], ["Tiling", "Tiling"], ["Empty", ""], version]
      }),
      "Steps: 2, Tiling, Empty: , Version: 1.10.1"
    )
  })

  it.each<readonly [ReadonlyArray<readonly [string, Infotext.InfotextValue]>, string]>([
    [
      [["Variation seed", 100], ["Variation seed strength", Infotext.float(0.3)]],
      "Variation seed: 100, Variation seed strength: 0.3"
    ],
    [
      [["Clip skip", 2], ["ENSD", 31337], ["RNG", "CPU"]],
      "Clip skip: 2, ENSD: 31337, RNG: CPU"
    ],
    [
      [
        ["Denoising strength", Infotext.float(0.7)],
        ["Hires upscale", Infotext.float(1.5)],
        ["Hires steps", 1],
        ["Hires upscaler", "Latent"]
      ],
      "Denoising strength: 0.7, Hires upscale: 1.5, Hires steps: 1, Hires upscaler: Latent"
    ],
    [
      [
        ["Denoising strength", Infotext.float(0.5)],
        ["Hires sampler", "Euler"],
        ["Hires prompt", `dog, "big"`],
        ["Hires negative prompt", "x"],
        ["Hires schedule type", "Karras"],
        ["Hires upscale", Infotext.float(2)]
      ],
      `Denoising strength: 0.5, Hires sampler: Euler, Hires prompt: "dog, \\"big\\"", Hires negative prompt: x, ` +
      "Hires schedule type: Karras, Hires upscale: 2.0"
    ],
    [
      [["Denoising strength", Infotext.float(0.5)], ["Hires resize", "96x0"]],
      "Denoising strength: 0.5, Hires resize: 96x0"
    ],
    [[["Tiling", "True"]], "Tiling: True"],
    [
      [
        ["Denoising strength", Infotext.float(0.75)],
        ["Mask mode", "Inpaint not masked"],
        ["Mask blur", 4],
        ["Inpaint area", "Only masked"],
        ["Masked area padding", 0],
        ["Masked content", "fill"]
      ],
      "Denoising strength: 0.75, Mask mode: Inpaint not masked, Mask blur: 4, Inpaint area: Only masked, " +
      "Masked area padding: 0, Masked content: fill"
    ],
    [[["Eta", Infotext.float(0.5)]], "Eta: 0.5"],
    [[["Eta DDIM", Infotext.float(0.5)]], "Eta DDIM: 0.5"],
    [
      [["Beta schedule alpha", Infotext.float(0.6)], ["Beta schedule beta", Infotext.float(0.6)]],
      "Beta schedule alpha: 0.6, Beta schedule beta: 0.6"
    ],
    [[["Lora hashes", "a: 1234abcd, b: ffee"]], `Lora hashes: "a: 1234abcd, b: ffee"`]
  ])("writes what stable-diffusion-webui writes: %j", (extra, text) => {
    assert.strictEqual(
      Infotext.format({ prompt: "a cat", negativePrompt: "", parameters: [...eulerA, ...extra, version] }),
      `a cat\n${eulerAText}, ${text}, Version: 1.10.1`
    )
  })
})

describe("Infotext.quote", () => {
  it.each([
    ["plain", "plain"],
    ["a, b", `"a, b"`],
    ["a: b", `"a: b"`],
    ["x\ny", `"x\\ny"`],
    [`say "hi"`, `say "hi"`],
    [`say "hi", bye`, `"say \\"hi\\", bye"`],
    ["back\\slash", "back\\slash"],
    ["back\\slash, x", `"back\\\\slash, x"`],
    ["é, 猫", `"é, 猫"`],
    ["tab\there", "tab\there"],
    ["tab\there,", `"tab\\there,"`],
    ["512x512", "512x512"],
    [`"quoted"`, `"quoted"`],
    ["", ""]
  ])("%j is written %j", (value, written) => {
    assert.strictEqual(Infotext.quote(value), written)
  })

  it.prop("what was quoted reads back as JSON, what was not is the value itself", [Schema.String], ([value]) => {
    const written = Infotext.quote(value)
    assert.strictEqual(/[,:\n]/.test(value) ? JSON.parse(written) : written, value)
  })

  it.prop("a quoted value never spans lines", [Schema.String, Schema.String], ([a, b]) => {
    assert.notInclude(Infotext.quote(`${a}\n${b}`), "\n")
  })
})
