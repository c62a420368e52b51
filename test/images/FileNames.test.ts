import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { directory, directoryPatternFor, fileName, type FileNameFacts, patternFor } from "../../src/images/FileNames.ts"
import { Options } from "../../src/processing/Options.ts"

const about: FileNameFacts = {
  seed: 43,
  seeds: { first: 42, last: 45 },
  steps: 20,
  cfg: 7,
  width: 512,
  height: 768,
  styles: ["Cinematic", "None", "a/b"],
  sampler: "DPM++ 2M",
  scheduler: "Karras",
  modelHash: "6ce0161689",
  modelName: "v1-5: pruned",
  // Of this machine's zone, whichever it is.
  now: new Date(2024, 1, 9, 17, 5, 3, 42).getTime(),
  prompt: "a Cat, (sitting:1.2) on a mat",
  promptNoStyles: "a Cat",
  negativePrompt: "bad",
  batchNumber: 2,
  batchSize: 4,
  generationNumber: 6,
  clipSkip: 2,
  denoising: 0.75,
  user: "ada",
  vae: "models/VAE/kl-f8.ckpt.pt",
  basename: "photo",
  imageBytes: () => new TextEncoder().encode("abc"),
  maxPromptWords: 3
}
const single: FileNameFacts = { ...about, batchNumber: 1, batchSize: 1, generationNumber: undefined }
const nothing: FileNameFacts = {
  ...single,
  styles: [],
  modelHash: undefined,
  denoising: undefined,
  user: undefined,
  vae: undefined,
  basename: undefined,
  prompt: "(:1.2)"
}

// Digests by `sha256sum`.
const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

describe("fileName", () => {
  it.each([
    ["[seed]", "43"],
    ["[seed_first]", "42"],
    ["[seed_last]", "45"],
    ["[steps]", "20"],
    ["[cfg]", "7.0"],
    ["[width]x[height]", "512x768"],
    ["[styles]", "Cinematic, a_b"],
    ["[sampler]", "DPM++ 2M"],
    ["[scheduler]", "Karras"],
    ["[sampler_scheduler]", "DPM++ 2M Karras"],
    ["[model_hash]", "6ce0161689"],
    ["[model_name]", "v1-5_ pruned"],
    ["[date]", "2024-02-09"],
    ["[datetime]", "20240209170503"],
    ["[job_timestamp]", "20240209170503"],
    ["[prompt]", "a_Cat,_(sitting_1.2)_on_a_mat"],
    ["[prompt_spaces]", "a Cat, (sitting_1.2) on a mat"],
    ["[prompt_words]", "a Cat sitting"],
    ["[prompt_no_styles]", "a Cat"],
    ["[batch_number]", "2"],
    ["[batch_size]", "4"],
    ["[generation_number]", "6"],
    ["[clip_skip]", "2"],
    ["[denoising]", "0.75"],
    ["[user]", "ada"],
    ["[vae_filename]", "kl-f8"],
    ["[basename]", "photo"],
    ["[none]", ""],
    ["[image_hash]", abc],
    ["[image_hash<12>]", abc.slice(0, 12)],
    ["[image_hash<x>]", abc],
    ["[SEED]-[Prompt_Words]", "43-a Cat sitting"],
    ["[[seed]]", "[43]"]
  ])("makes %s %s", (pattern, expected) => {
    assert.strictEqual(fileName(pattern, about), expected)
  })

  it.each([
    ["[prompt_hash]", "ba7816bf"],
    ["[prompt_hash<4>]", "ba78"],
    ["[prompt_hash<>]", "ba7816bf"],
    ["[prompt_hash<100>]", abc],
    // Of "bad", and of "abc bad".
    ["[negative_prompt_hash]", "2f05d4b6"],
    ["[full_prompt_hash]", "be627ca0"]
  ])("makes %s of SHA-256: %s", (pattern, expected) => {
    assert.strictEqual(fileName(pattern, { ...about, prompt: "abc" }), expected)
  })

  it.each([
    ["[hasprompt<cat>]", "cat"],
    ["[hasprompt<CAT|none>]", "cat"],
    ["[hasprompt<dog>]", ""],
    ["[hasprompt<dog|No Dog>]", "No_Dog"],
    ["[hasprompt<dog|other><on a mat>]", "otheron_a_mat"],
    ["[hasprompt]", ""]
  ])("looks into the prompt for %s: %j", (pattern, expected) => {
    assert.strictEqual(fileName(pattern, about), expected)
  })

  it("keeps what it does not know", () => {
    assert.strictEqual(fileName("[seed] [sede] [constructor] [] [", about), "43 [sede] [constructor] [] [")
    assert.strictEqual(fileName("[sede<1>]", about), "[sede_1_]")
  })

  it("leaves out what there is nothing to tell of, with the text before it", () => {
    assert.strictEqual(fileName("[seed]-[batch_number]", single), "43")
    assert.strictEqual(fileName("[seed]-[generation_number]-[steps]", single), "43-20")
    assert.strictEqual(fileName("[seed_first]-[seed_last]", single), "43")
    assert.strictEqual(fileName("[seed]-[denoising]-[user]-[model_hash]", nothing), "43")
    assert.strictEqual(fileName("[denoising]", { ...about, denoising: 0 }), "")
  })

  it("has a word for what is missing but expected", () => {
    assert.strictEqual(fileName("[vae_filename] [styles] [basename]", nothing), "NoneType None img")
    assert.strictEqual(fileName("[prompt_words]", { ...about, prompt: "(:)" }), "empty")
    assert.strictEqual(fileName("[vae_filename]", { ...about, vae: "C:\\vae\\.hidden.pt" }), "hidden")
  })

  it("asks for the pixels only when they are needed", () => {
    const imageBytes = (): Uint8Array => assert.fail("was asked")
    assert.strictEqual(fileName("[seed]", { ...about, imageBytes }), "43")
  })
})

describe("[datetime]", () => {
  const at = (pattern: string, now: number) => fileName(pattern, { ...about, now })
  const morning = Date.UTC(2024, 2, 1, 0, 5, 9, 7)

  it.each([
    ["%Y_%m_%d %H-%M-%S", "2024_03_01 00-05-09"],
    ["%y %j %f", "24 061 007000"],
    ["%a %A %b %B", "Fri Friday Mar March"],
    ["%I %p", "12 AM"],
    ["100%% %Q %", "100% %Q %"],
    ["%H:%M", "00_05"]
  ])("writes %s", (format, expected) => {
    assert.strictEqual(at(`[datetime<${format}><UTC>]`, morning), expected)
  })

  it("knows the hours of the afternoon", () => {
    assert.strictEqual(at("[datetime<%I %p><UTC>]", Date.UTC(2024, 11, 31, 12)), "12 PM")
    assert.strictEqual(at("[datetime<%I %p %j><UTC>]", Date.UTC(2024, 11, 31, 23)), "11 PM 366")
  })

  it("knows the zones of the world, and takes this machine's for one it does not know", () => {
    assert.strictEqual(at("[datetime<%Y-%m-%d %H><Asia/Tokyo>]", morning), "2024-03-01 09")
    assert.strictEqual(at("[datetime<%Y-%m-%d %H><America/New_York>]", morning), "2024-02-29 19")
    assert.strictEqual(at("[datetime<%d %H><Nowhere/Else>]", about.now), "09 17")
    assert.strictEqual(at("[datetime<%d %H><>]", about.now), "09 17")
    assert.strictEqual(at("[Datetime<>]", about.now), "20240209170503")
  })
})

describe("names", () => {
  const spaced = (prompt: string) => fileName("[prompt_spaces]", { ...about, prompt })

  it("have no characters that a file system forbids", () => {
    assert.strictEqual(spaced("a#<>:\"/\\|?*b\n\t\0\u007fc"), "a__________b____c")
    assert.strictEqual(fileName("../[seed]\\x", about), ".._43_x")
  })

  it("have at most 128 characters of a text, and no spaces in front nor spaces and dots behind", () => {
    assert.strictEqual(spaced("x".repeat(200)), "x".repeat(128))
    assert.strictEqual(
      fileName("[prompt_spaces]-[seed]", { ...about, prompt: "x".repeat(200) }),
      `${"x".repeat(128)}-43`
    )
    assert.strictEqual(spaced("  a . b. . "), "a . b")
    assert.strictEqual(spaced(`${"x".repeat(127)} y`), "x".repeat(127))
    assert.strictEqual(spaced("..."), "")
    // Characters are never cut in two.
    assert.strictEqual(spaced("👍".repeat(200)), "👍".repeat(56))
  })

  it.each(["con", "NUL", "aux.txt", "Com1", "lpt9.tar.gz", "COM²", "prn ", "con .x"])(
    "are no device of Windows: %s",
    (prompt) => {
      assert.strictEqual(spaced(prompt), `_${prompt.trimEnd()}`)
    }
  )

  it.each(["cone", "com", "com10", "lpt", "nul-1", "my con"])(
    "stay as they are when they only look like one: %s",
    (name) => {
      assert.strictEqual(spaced(name), name)
    }
  )

  const patterns = ["[prompt]", "[prompt_spaces]", "[prompt_words]/[prompt]", "x[hasprompt<a|../>]", "[styles].[user]"]
  it.prop("are safe whatever the words", [Schema.String, Schema.String], ([prompt, written]) => {
    const facts = { ...about, prompt, styles: [prompt], user: prompt, modelName: prompt }
    for (const pattern of [...patterns, written, `[prompt_spaces]${written}[model_name]`]) {
      const folders = directory(pattern, facts)
      for (const name of [fileName(pattern, facts), ...(folders === "" ? [] : folders.split("/"))]) {
        assert.notMatch(name, /[#<>:"/\\|?*\p{Cc}]|^ |[ .]$/u)
        assert.isAtMost(Buffer.byteLength(name), 226)
        assert.isTrue(name.isWellFormed())
      }
    }
  })
})

describe("directory", () => {
  it("makes folders in folders", () => {
    assert.strictEqual(directory("[date]", about), "2024-02-09")
    assert.strictEqual(directory("[date]/[model_name]\\[sampler]", about), "2024-02-09/v1-5_ pruned/DPM++ 2M")
    assert.strictEqual(directory("[datetime<%Y/%m><Asia/Tokyo>]", about), "2024_02")
  })

  it("never leads out of the folder", () => {
    assert.strictEqual(directory("../../[seed]/./..", about), "43")
    assert.strictEqual(directory("/etc/ /x", about), "etc/x")
    assert.strictEqual(directory("C:\\x", about), "C_/x")
    assert.strictEqual(directory("[prompt_spaces]", { ...about, prompt: "../../x" }), ".._.._x")
    assert.strictEqual(directory("con/[seed]", about), "_con/43")
  })

  it("leaves out what is empty", () => {
    assert.strictEqual(directory("[user]/[date]/[batch_number]", nothing), "2024-02-09")
    assert.strictEqual(directory("[none]", about), "")
    assert.strictEqual(directory("", about), "")
  })
})

describe("the settings", () => {
  it("name images by seed, and by prompt too where there are no folders", () => {
    const { defaults, patched } = Options
    assert.strictEqual(patternFor(defaults, "samples"), "[seed]")
    assert.strictEqual(patternFor(patched(defaults, { save_to_dirs: false }), "samples"), "[seed]-[prompt_spaces]")
    assert.strictEqual(patternFor(patched(defaults, { samples_filename_pattern: "[cfg]" }), "samples"), "[cfg]")
  })

  it("name grids by their number only", () => {
    const opts = Options.patched(Options.defaults, { samples_filename_pattern: "[cfg]" })
    assert.strictEqual(fileName(patternFor(opts, "grid"), about), "")
  })

  it("name folders, or ask for none", () => {
    const { defaults, patched } = Options
    assert.strictEqual(directoryPatternFor(defaults, "samples"), "[date]")
    assert.strictEqual(directoryPatternFor(defaults, "grid"), "[date]")
    assert.strictEqual(directoryPatternFor(patched(defaults, { save_to_dirs: false }), "samples"), "")
    assert.strictEqual(directoryPatternFor(patched(defaults, { save_to_dirs: false }), "grid"), "[date]")
    assert.strictEqual(directoryPatternFor(patched(defaults, { grid_save_to_dirs: false }), "grid"), "")
    const empty = patched(defaults, { directories_filename_pattern: "" })
    assert.strictEqual(directoryPatternFor(empty, "samples"), "[prompt_words]")
  })
})
