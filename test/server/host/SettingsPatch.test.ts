import { assert, describe, it } from "@effect/vitest"
import { Options } from "../../../src/processing/Options.ts"
import { divide } from "../../../src/server/host/SettingsPatch.ts"

const inactive = { font: "", upscaling_max_images_in_cache: 5, hidden_tabs: [], multiple_tqdm: true }

describe("A patch of settings", () => {
  it("is divided into settings with an effect and the webui's others, in their types", () => {
    assert.deepStrictEqual(
      divide({ jpeg_quality: "90", samples_save: 0, font: null, upscaling_max_images_in_cache: "7" }, inactive),
      {
        active: { jpeg_quality: 90, samples_save: false },
        inactive: { font: null, upscaling_max_images_in_cache: 7 },
        problems: []
      }
    )
  })

  it("ignores what only the server sets and the texts of the webui's settings page", () => {
    assert.deepStrictEqual(
      divide({ api_enable_requests: true, sd_checkpoint_hash: "x", div_a: 1, lora_explanation: "" }, inactive),
      { active: {}, inactive: {}, problems: [] }
    )
  })

  it("is refused with every problem", () => {
    const { problems } = divide({ samples_sav: true, hidden_tabs: 3, multiple_tqdm: "x" }, inactive)
    assert.deepStrictEqual(problems.map(({ path }) => path), ["samples_sav", "hidden_tabs", "multiple_tqdm"])
    assert.include(problems[0]?.message, `did you mean "samples_save"?`)
  })

  it("may not choose folders outside the server's own over the network, except the present one", () => {
    const inForce = Options.patched(Options.defaults, { outdir_grids: "/grids" })
    const paths = (value: string) => divide({ outdir_grids: value }, {}, inForce).problems.map(({ path }) => path)
    for (const outside of ["/etc", "../up", "~/x", "C:\\x", "a/../../b", "a\0"]) {
      assert.deepStrictEqual(paths(outside), ["outdir_grids"], outside)
    }
    for (const inside of ["/grids", "a/b", "outputs"]) assert.deepStrictEqual(paths(inside), [], inside)
    assert.lengthOf(divide({ outdir_grids: "/etc" }, {}).problems, 0)
    // The webui's others are only stored, but other programs may read them.
    for (const name of ["outdir_save", "outdir_extras_samples"]) {
      const stored = { [name]: "log/images" }
      for (const outside of ["/etc", "../up", "a/../../b", "C:\\x"]) {
        const { problems } = divide({ [name]: outside }, stored, { ...Options.defaults, ...stored })
        assert.deepStrictEqual(problems.map(({ path }) => path), [name])
      }
      assert.lengthOf(divide({ [name]: "a/b" }, stored, { ...Options.defaults, ...stored }).problems, 0)
    }
  })
})
