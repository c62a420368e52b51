import { assert, describe, it } from "@effect/vitest"
import { fieldOf } from "../../src/core/Field.ts"
import { absentInOwn } from "../../src/processing/InfotextDefaults.ts"
import { fieldRows, settingRows } from "../../src/processing/InfotextKeys.ts"
import { settingsOf } from "../../src/processing/InfotextRequest.ts"
import { Options } from "../../src/processing/Options.ts"
import { OptionsSnapshot } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"

const ofFiles = new Set(["Saving images", "Directories", "Infotext", "Live previews", "Extra networks"])
const groupOf = (name: string) => fieldOf(OptionsSnapshot, name)?.group ?? ""

describe("the keys of infotexts", () => {
  it("hold every setting that is not about files", () => {
    const held = new Set(settingRows.map(({ name }) => name))
    const missing = Object.keys(OptionsSnapshot.fields).filter((name) => !ofFiles.has(groupOf(name)) && !held.has(name))
    assert.deepStrictEqual(missing, [])
  })

  it("hold every field of a request, some as the setting that acts in its place", () => {
    const held = new Set([...fieldRows, ...settingRows].map(({ name }) => name))
    const missing = Object.keys({ ...Txt2Img.fields, ...Img2Img.fields }).filter((name) => !held.has(name))
    // Eta is a setting of its own for each kind of sampler; the rest is no part of one image, or given again.
    assert.deepStrictEqual(missing.toSorted(), [
      "_tag",
      "eta",
      "init_images",
      "mask",
      "n_iter",
      "override_settings",
      // Each image of a plot has the text of a request without axes.
      "x_axis",
      "y_axis",
      "z_axis"
    ])
  })

  it("mean the settings' defaults where a text by Serena leaves them out", () => {
    const defaults: Readonly<Record<string, unknown>> = { ...Options.defaults }
    const read = settingsOf({
      "Clip skip": "1",
      "RNG": "CPU",
      "Schedule min sigma": 0,
      "Schedule max sigma": 0,
      "Schedule rho": 0,
      "Refiner switch by sampling steps": false,
      "Version": "serena-0.1.0"
    })
    const names = new Set(read.map(({ name }) => name))
    for (const { name, value } of read) assert.strictEqual(value, defaults[name], name)
    const missing = Object.keys(OptionsSnapshot.fields).filter((name) =>
      !ofFiles.has(groupOf(name)) && !names.has(name)
    )
    assert.deepStrictEqual(missing, ["sd_model_checkpoint"])
    assert.deepStrictEqual(settingsOf({ "Version": "1.10.1" }), [])
    assert.strictEqual(absentInOwn["Img2img upscaler"], "")
  })
})
