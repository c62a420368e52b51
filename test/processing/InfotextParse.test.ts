import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Infotext from "../../src/processing/Infotext.ts"
import { cpuTime } from "../cpuTime.ts"

const fields = (text: string, options?: Infotext.ParseOptions) => Infotext.parse(text, options).fields

/** A text with a prompt, whose parameters are some that are always the same, and others. */
const withPairs = (pairs: string, prompt = "cat") => `${prompt}\nSteps: 20, Sampler: Euler a, Seed: 5, ${pairs}`
const always = { Steps: "20", Sampler: "Euler a", Seed: "5" }

const parsedOr = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const allDefaults = {
  "Prompt": "",
  "Negative prompt": "",
  "Clip skip": "1",
  "Hires resize-1": 0,
  "Hires resize-2": 0,
  "Hires sampler": "Use same sampler",
  "Hires schedule type": "Use same scheduler",
  "Hires checkpoint": "Use same checkpoint",
  "Hires prompt": "",
  "Hires negative prompt": "",
  "Mask mode": "Inpaint masked",
  "Masked content": "original",
  "Inpaint area": "Whole picture",
  "Masked area padding": 32,
  "RNG": "GPU",
  "Schedule type": "Automatic",
  "Schedule max sigma": 0,
  "Schedule min sigma": 0,
  "Schedule rho": 0,
  "VAE Encoder": "Full",
  "VAE Decoder": "Full",
  "FP8 weight": "Disable",
  "Refiner switch by sampling steps": false
}

describe("Infotext.parse, the worked examples", () => {
  it("reads a whole text", () => {
    const text = "cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, " +
      "Seed: 965400086, Size: 512x512, Model hash: 45dee52b, Model: v1-5, Version: 1.10.1"
    const expected = {
      "Prompt": "cat",
      "Negative prompt": "dog",
      "Steps": "20",
      "Sampler": "Euler a",
      "Schedule type": "Automatic",
      "CFG scale": "7.0",
      "Seed": "965400086",
      "Size-1": "512",
      "Size-2": "512",
      "Model hash": "45dee52b",
      "Model": "v1-5",
      "Version": "1.10.1"
    }
    assert.deepStrictEqual(fields(text), expected)
    assert.deepStrictEqual(Object.keys(fields(text)), Object.keys(expected))
  })

  it.each([
    ["just a prompt, with commas"],
    ["cat\nSteps: 20, Seed: 5"],
    ["a: b, c: d, e: f"]
  ])("takes a text without three pairs for a prompt: %j", (text) => {
    assert.deepStrictEqual(fields(text), { Prompt: text })
  })

  it("takes a last line with three pairs for parameters, whatever it is", () => {
    assert.deepStrictEqual(fields("photo, time: noon, place: Rome, mood: calm"), {
      time: "noon",
      place: "Rome",
      mood: "calm"
    })
  })

  it.each<readonly [string, string, Infotext.Fields]>([
    ["a second label", "cat\nNegative prompt: dog\nNegative prompt: bird\nSteps: 20, Sampler: Euler a, Seed: 5", {
      "Prompt": "cat",
      "Negative prompt": "dog\nbird"
    }],
    ["a label without a space", "cat\nNegative prompt:dog\n fish \nSteps: 20, Sampler: Euler a, Seed: 5", {
      "Prompt": "cat",
      "Negative prompt": "dog\nfish"
    }],
    ["a label without words", "cat\nNegative prompt:\n\ndog\nSteps: 20, Sampler: Euler a, Seed: 5", {
      "Prompt": "cat",
      "Negative prompt": "dog"
    }],
    ["prompts of several lines", "a\nb\nNegative prompt: c\nd\nSteps: 20, Sampler: Euler a, Seed: 5", {
      "Prompt": "a\nb",
      "Negative prompt": "c\nd"
    }],
    ["a quoted value of two lines", withPairs(`Hires prompt: "a dog, big\\nred (x:1.2)", Version: 1.10.1`), {
      "Prompt": "cat",
      "Hires prompt": "a dog, big\nred (x:1.2)",
      "Version": "1.10.1"
    }],
    ["quotes in a quoted value", withPairs(`Hires prompt: "say \\"hi\\", ok", Model: m`), {
      "Prompt": "cat",
      "Hires prompt": `say "hi", ok`,
      "Model": "m"
    }],
    ["pairs in a quoted value", withPairs(`Lora hashes: "a: 1234abcd, b: ffee", Model: m`), {
      "Prompt": "cat",
      "Lora hashes": "a: 1234abcd, b: ffee",
      "Model": "m"
    }],
    ["a comma without quotes", withPairs("Model: a, b, Version: 1.10.1"), {
      Prompt: "cat",
      Model: "a",
      Version: "1.10.1"
    }],
    ["quotes inside a bare value", withPairs(`Model: a "b" c, Version: 1.10.1`), {
      Prompt: "cat",
      Model: `a "b" c`,
      Version: "1.10.1"
    }],
    ["a quoted value without an end", "cat\nSteps: 20, Sampler: Euler a, Hires prompt: \"abc, Seed: 5, Size: 64x64", {
      "Prompt": "cat",
      "Hires prompt": "\"abc",
      "Size-1": "64",
      "Size-2": "64"
    }],
    ["an empty string in quotes", withPairs(`Extra: "", Model: m`), { Prompt: "cat", Extra: "", Model: "m" }],
    ["an empty value", withPairs("Extra: , Other:, Model: m"), { Prompt: "cat", Model: "m" }],
    ["a bare key", withPairs("Tiling, Version: 1.10.1"), { Prompt: "cat", Version: "1.10.1" }],
    ["pairs without spaces", "cat\nSteps: 20,Sampler: Euler a,CFG scale: 7,Seed:5", {
      "Prompt": "cat",
      "CFG scale": "7"
    }],
    ["lines that end with CR LF", "cat\r\nNegative prompt: dog\r\nSteps: 20, Sampler: Euler a, Seed: 5\r\n", {
      "Prompt": "cat",
      "Negative prompt": "dog"
    }],
    ["an empty line after the prompt", "cat\n\nSteps: 20, Sampler: Euler a, Seed: 5", { Prompt: "cat\n" }],
    ["no prompt", "Steps: 20, Sampler: Euler a, Seed: 5", {}],
    ["only a negative prompt", "Negative prompt: x\nSteps: 20, Sampler: Euler a, Seed: 5", { "Negative prompt": "x" }],
    ["a size of zeros", withPairs("Hires resize: 96x0"), {
      "Prompt": "cat",
      "Hires resize-1": "96",
      "Hires resize-2": "0"
    }],
    ["a key given twice", withPairs("Model: a, Model: b"), { Prompt: "cat", Model: "b" }]
  ])("reads %s", (_, text, expected) => {
    assert.deepStrictEqual(fields(text), { ...always, ...expected })
  })

  it("keeps an old combined sampler name", () => {
    const text = "cat\nSteps: 20, Sampler: DPM++ 2M Karras, Seed: 5, Version: v1.8.0"
    assert.strictEqual(fields(text).Sampler, "DPM++ 2M Karras")
  })

  it("reads a size of the first pass", () => {
    assert.deepStrictEqual(fields(withPairs("Size: 1024x1024, Denoising strength: 0.7, First pass size: 512x512")), {
      ...always,
      "Prompt": "cat",
      "Size-1": 512,
      "Size-2": 512,
      "Denoising strength": "0.7",
      "First pass size-1": "512",
      "First pass size-2": "512",
      "Hires resize-1": 1024,
      "Hires resize-2": 1024
    })
  })

  it("computes a size of the first pass that is 0x0", () => {
    const read = fields(withPairs("Size: 1024x768, Denoising strength: 0.7, First pass size: 0x0"))
    assert.deepStrictEqual(
      ["Size-1", "Size-2", "Hires resize-1", "Hires resize-2"].map((key) => read[key]),
      [640, 448, 1024, 768]
    )
  })

  it("leaves sizes that nothing can be computed from", () => {
    for (const size of ["0x0", `${"9".repeat(400)}x1`]) {
      const read = fields(withPairs(`Size: ${size}, First pass size: 0x0`))
      assert.strictEqual(read["Size-1"], size.split("x")[0])
      assert.isUndefined(read["Hires resize-1"])
    }
  })

  it("adds what old versions did", () => {
    const text = "[a|b] cat\nSteps: 20, Sampler: DDIM, Seed: 5, Version: v1.5.2"
    const { defaults, fields } = Infotext.parse(text)
    assert.deepStrictEqual(fields, {
      "Prompt": "[a|b] cat",
      "Steps": "20",
      "Sampler": "DDIM",
      "Seed": "5",
      "Version": "v1.5.2",
      "Old prompt editing timelines": true,
      "Pad conds v0": true,
      "Downcast alphas_cumprod": true
    })
    assert.strictEqual(defaults.Emphasis, "Original")
    assert.isUndefined(Infotext.parse(text, { backcompat: false }).fields["Pad conds v0"])
  })

  it("cuts off a style", () => {
    const styles = [{ name: "style1", prompt: "style words", negativePrompt: "style neg" }]
    const text = "cat, style words\nNegative prompt: style neg\nSteps: 20, Sampler: Euler a, Seed: 5"
    assert.deepStrictEqual(fields(text, { styles }), { ...always, "Prompt": "cat", "Styles array": ["style1"] })
  })

  it("gives every absent key its default", () => {
    assert.deepStrictEqual(Infotext.parse("").defaults, allDefaults)
    const parsed = Infotext.parse("Clip skip: 2, RNG: CPU, Hires resize: 64x64, Mask mode: Inpaint not masked")
    const { "Clip skip": _, RNG: _2, "Hires resize-1": _3, "Hires resize-2": _4, "Mask mode": _5, ...rest } =
      allDefaults
    assert.deepStrictEqual(parsed.defaults, rest)
    assert.deepStrictEqual(Infotext.withDefaults(parsed), { ...parsed.fields, ...rest })
  })
})

describe("Infotext.parse, what Infotext.format wrote", () => {
  const read = (value: string) =>
    fields(Infotext.format({
      prompt: "cat",
      negativePrompt: "",
      parameters: [["Steps", 20], ["Extra", value], ["Seed", 5], ["Model", "m"]]
    }))

  it.each([
    "plain",
    "a, b",
    "a: b",
    "x\ny",
    `say "hi"`,
    `say "hi", bye`,
    "back\\slash",
    "back\\slash, x",
    "é, 猫",
    "tab\there,"
  ])("gives back %j", (value) => {
    assert.deepStrictEqual(read(value), { Prompt: "cat", Steps: "20", Extra: value, Seed: "5", Model: "m" })
  })

  it("splits sizes, takes quotes off, and drops what is empty", () => {
    assert.deepInclude(read("512x512"), { "Extra-1": "512", "Extra-2": "512" })
    assert.strictEqual(read(`"quoted"`).Extra, "quoted")
    assert.isFalse(Object.hasOwn(read(""), "Extra"))
  })

  it.prop("gives back any value but those", [Schema.String], ([value]) => {
    // White space before a bare value is none of it.
    if (value === "" || /^".*"$|^[\s\p{Cc}]|^\d+x\d+$/u.test(value)) return
    assert.strictEqual(read(value).Extra, value)
    assert.strictEqual(read(`${value}, ${value}`).Extra, `${value}, ${value}`)
  }, { arbitrary: { runs: 500 } })
})

describe("Infotext.parse", () => {
  it.each([
    ["Größe", "Schritte Größe: 3, Модель: x, 模型: y"],
    ["one character", "猫: x, Steps: 1, Seed: 2, Model: m"],
    ["letters beyond 16 bits", "𠮷: x, 𠮷𠮷: y, Seed: 2, Model: m"],
    ["other characters", "a/b-c d: 1, (x) Seed: 2, - Model: m, _x: 3"]
  ])("finds keys in any script: %s", (_, text) => {
    const expected: Record<string, Infotext.Fields> = {
      [`Schritte Größe: 3, Модель: x, 模型: y`]: { "Schritte Größe": "3", "Модель": "x", "模型": "y" },
      [`猫: x, Steps: 1, Seed: 2, Model: m`]: { Steps: "1", Seed: "2", Model: "m" },
      [`𠮷: x, 𠮷𠮷: y, Seed: 2, Model: m`]: { "𠮷𠮷": "y", "Seed": "2", "Model": "m" },
      [`a/b-c d: 1, (x) Seed: 2, - Model: m, _x: 3`]: { "a/b-c d": "1", "Seed": "2", "Model": "m", "_x": "3" }
    }
    assert.deepStrictEqual(fields(text), expected[text])
  })

  // Two numbers with an x between them are a size, whatever the key.
  const NoSize = Schema.String.check(
    Schema.makeFilter((text) => !/^\p{Nd}+x\p{Nd}+$/u.test(text.replaceAll(/[,\n]/g, "")))
  )

  it.prop("decodes JSON strings, and leaves what is none", [NoSize], ([value]) => {
    const modelOf = (text: string) => fields(`Steps: 1, Seed: 2, Model: ${text}`).Model
    assert.strictEqual(modelOf(JSON.stringify(value)), value)
    const plain = value.replaceAll(/[,\n]/g, "")
    for (const text of [`"${plain}"`, `"\\u${plain}"`, `"\\${plain}"`, `"${plain}\\"`]) {
      assert.strictEqual(modelOf(text), parsedOr(text))
    }
  }, { arbitrary: { runs: 500 } })

  it("counts empty pairs among the three, and drops them", () => {
    assert.deepStrictEqual(fields("cat\nSteps: , Seed: , Model: m"), { Prompt: "cat", Model: "m" })
  })

  it("is not fooled by keys named after an object's own", () => {
    const read = fields("__proto__: x, constructor: y, toString: z")
    assert.deepStrictEqual(Object.entries(read), [["__proto__", "x"], ["constructor", "y"], ["toString", "z"]])
  })

  it("takes the prompts from their lines only", () => {
    assert.deepStrictEqual(fields("cat\nPrompt: dog, Steps: 1, Seed: 2"), { Prompt: "cat", Steps: "1", Seed: "2" })
  })

  it("reads what Forge writes", () => {
    const text = "cat <lora:x:1>\nSteps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, " +
      "Distilled CFG Scale: 3.5, Seed: 12345, Size: 896x1152, Model hash: bea01d51bd, Model: flux1-dev, " +
      "Lora hashes: \"x: 0123456789ab\", Beta schedule alpha: 0.6, Version: f2.0.1v1.10.1-previous-669-gdfdcbab6, " +
      "Module 1: ae, Module 2: clip_l"
    const read = fields(text)
    assert.strictEqual(read["Distilled CFG Scale"], "3.5")
    assert.strictEqual(read["Module 2"], "clip_l")
    assert.strictEqual(read.Version, "f2.0.1v1.10.1-previous-669-gdfdcbab6")
    assert.isUndefined(read["Downcast alphas_cumprod"])
  })

  it("reads what savers for ComfyUI write", () => {
    const text = "cat\nNegative prompt: bad\nSteps: 20, Sampler: dpmpp_2m_karras, CFG scale: 8.0, " +
      "Seed: 1032342132341234123, Size: 512x512, Clip skip: 2, Model hash: 6ce0161689, Model: v1-5-pruned, " +
      "Hashes: {\"model\":\"6ce0161689\",\"lora:x\":\"ab\"}, Version: ComfyUI"
    const read = fields(text)
    assert.strictEqual(read.Sampler, "dpmpp_2m_karras")
    assert.strictEqual(read.Seed, "1032342132341234123")
    assert.strictEqual(read.Version, "ComfyUI")
    assert.isUndefined(read["Downcast alphas_cumprod"])
  })

  it("appends an old hypernetwork to the prompt", () => {
    assert.strictEqual(fields(withPairs("Hypernet: x, Hypernet strength: 0.5")).Prompt, "cat<hypernet:x:0.5>")
    assert.strictEqual(fields(withPairs("Hypernet: x")).Prompt, "cat<hypernet:x:1.0>")
  })

  it.each([
    ["1.5.2", [
      "Downcast alphas_cumprod",
      "Old prompt editing timelines",
      "Pad conds v0",
      "Refiner switch by sampling steps"
    ]],
    ["v1.6.0-RC-12-gabcdef", [
      "Downcast alphas_cumprod",
      "Old prompt editing timelines",
      "Pad conds v0",
      "Refiner switch by sampling steps"
    ]],
    ["v1.6.0", ["Downcast alphas_cumprod", "Refiner switch by sampling steps"]],
    ["v1.6.0-2-g4afaaf8a", ["Downcast alphas_cumprod", "Refiner switch by sampling steps"]],
    ["1.7.0", ["Downcast alphas_cumprod", "Refiner switch by sampling steps"]],
    ["v1.7.0-224-gabcdef", ["Downcast alphas_cumprod", "Refiner switch by sampling steps"]],
    ["v1.7.0-225-gabcdef", ["Refiner switch by sampling steps"]],
    ["1.8.0-RC", ["Refiner switch by sampling steps"]],
    ["1.8.0", []],
    ["1.10.1", []],
    ["1.10", []],
    ["serena-0.1.0", []],
    ["neo", []]
  ])("knows the ways of version %s", (version, expected) => {
    const read = fields(`[a] cat\nSteps: 20, Sampler: PLMS, Refiner: r, Version: ${version}`)
    assert.deepStrictEqual(Object.keys(read).filter((key) => read[key] === true).sort(), expected)
  })

  it.each([
    ["a cat", false],
    ["(a cat)", true],
    ["a [cat", true],
    ["(a:1.0)", false],
    ["(a:1.2)", true],
    ["(a : -1 )", true],
    ["(a:b)", true],
    ["()", false],
    ["\\(a\\)", false],
    ["a) cat]", false],
    ["a:1.2)", false],
    ["", false]
  ])("says whether %j uses attention", (prompt, expected) => {
    for (const text of [withPairs("Model: m", prompt), withPairs("Model: m", `cat\nNegative prompt: ${prompt}`)]) {
      assert.strictEqual(Infotext.parse(text).defaults.Emphasis, expected ? "Original" : undefined)
    }
    assert.isUndefined(Infotext.parse(withPairs("Emphasis: None", prompt)).defaults.Emphasis)
  })
})

describe("Infotext.parse, styles", () => {
  const style = (name: string, prompt: string, negativePrompt = "") => ({ name, prompt, negativePrompt })

  it.each<readonly [string, ReadonlyArray<Infotext.Style>, string, string, ReadonlyArray<string> | undefined]>([
    ["a cat, soft", [style("s", "soft")], "a cat", "", ["s"]],
    ["soft", [style("s", "soft")], "", "", ["s"]],
    ["a a cat of wonder", [style("s", "a {prompt} of wonder")], "a cat", "", ["s"]],
    ["cat, one, two", [style("one", "one"), style("two", "two")], "cat", "", ["one", "two"]],
    ["cat, one,  two", [style("both", "one, two"), style("two", "two")], "cat", "", ["both"]],
    ["cat, soft", [style("s", "soft", "hard")], "cat, soft", "", undefined],
    ["a cat", [style("s", "soft")], "a cat", "", undefined],
    ["a cat", [style("empty", "")], "a cat", "", undefined],
    ["cat\nNegative prompt: x, hard", [style("s", "", "hard")], "cat", "x", ["s"]],
    ["ab", [style("s", "ab{prompt}b")], "ab", "", undefined]
  ])("%j", (prompts, styles, prompt, negative, expected) => {
    const read = Infotext.withDefaults(Infotext.parse(`${prompts}\nSteps: 1, Seed: 2, Model: m`, { styles }))
    assert.deepStrictEqual<unknown>([read.Prompt, read["Negative prompt"], read["Styles array"]], [
      prompt,
      negative,
      expected
    ])
  })

  const many = Array.from({ length: 20_000 }, (_, i) => style(`s${i}`, `soft ${i}`, `hard ${i}`))

  it.effect("are found among many as among few, in the order of the list", () =>
    Effect.gen(function*() {
      const text =
        "cat, soft 7, soft 19999, soft 300\nNegative prompt: hard 7, hard 19999, hard 300\nSteps: 1, Seed: 2, Model: m"
      const parsed = yield* Infotext.parsing(text, { styles: many })
      assert.deepStrictEqual(parsed, Infotext.parse(text, { styles: many }))
      assert.deepStrictEqual(parsed.fields["Styles array"], ["s7", "s19999", "s300"])
    }))

  it("are looked for with pauses", () => {
    let pauses = 0
    for (const _ of Infotext.searching({ prompt: "cat, soft 1", negativePrompt: "hard 1" }, many)) pauses++
    assert.isAtLeast(pauses, 500)
  })
})

const mega = 1_000_000

describe("Infotext.parse, of anything", () => {
  it.prop("never fails", [Schema.String, Schema.String], ([a, b]) => {
    for (const text of [a, `${a}: ${b}, ${b}: ${a}, aa: "${b}`, `${a}\n${b}`, withPairs(`Key: ${a}, ${b}: "x`)]) {
      const { defaults, fields } = Infotext.parse(text)
      assert.isTrue(Object.keys(defaults).every((key) => !Object.hasOwn(fields, key)))
    }
  }, { arbitrary: { runs: 500 } })

  it.each([
    ["letters", "a".repeat(mega)],
    ["spaces", `a${" ".repeat(mega)}b`],
    ["words", "word ".repeat(mega / 5)],
    ["lines", "\n".repeat(mega) + "x"],
    ["colons", ":".repeat(mega)],
    ["keys", "ab:".repeat(mega / 3)],
    ["pairs", "ab: c, ".repeat(mega / 7)],
    ["open quotes", "ab: \"c, ".repeat(mega / 8)],
    ["escaped quotes", "ab: \"\\\", ".repeat(mega / 9)],
    ["wrong escapes", "ab: \"\\q\", ".repeat(mega / 10)],
    ["backslashes", `ab: "${"\\".repeat(mega)}`],
    ["a long string", `ab: "${"x".repeat(mega)}", cd: 1, ef: 2`],
    ["digits", `ab: ${"1".repeat(mega)}x, cd: 1, ef: 2`],
    ["a long version", `Version: ${"1.".repeat(mega / 2)}, cd: 1, ef: 2`],
    ["round brackets", "(".repeat(mega)],
    ["brackets", "([a:1.1)]".repeat(mega / 9)],
    ["weights", ": 1.1 ".repeat(mega / 6)],
    ["spaced colons", `(a${":      ".repeat(mega / 7)}`],
    ["labels", "Negative prompt:\n".repeat(mega / 17)],
    ["CJK", "猫".repeat(mega)]
  ])("reads a megabyte of %s in no time", (_, text) => {
    const styles = [{ name: "s", prompt: "soft", negativePrompt: "" }, { name: "x", prompt: "x", negativePrompt: "" }]
    assert.isBelow(cpuTime(() => Infotext.parse(text, { styles })), 2000)
  })
})
