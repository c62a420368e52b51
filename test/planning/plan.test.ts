import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { outline, type OutlineInputs, plan, type PlanFacts } from "../../src/planning/plan.ts"
import type { SourceFacts } from "../../src/planning/source.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import { TestModel } from "../../src/testing/index.ts"
import { elsewhere, inputs } from "./inputs.ts"

const facts: PlanFacts = { seed: 7, subseed: 3, model: { name: "test-model", hash: "7e57000000" }, startedAt: 1000 }

const settled = (overrides?: Parameters<typeof inputs>[0]) => Result.getOrThrow(outline(inputs(overrides)))

const planned = (overrides?: Parameters<typeof inputs>[0]) => plan(settled(overrides), facts)

const refused = (overrides: Parameters<typeof inputs>[0]) => Result.getOrThrow(Result.flip(outline(inputs(overrides))))

const paths = (overrides: Parameters<typeof inputs>[0]) => {
  const error = refused(overrides)
  return error._tag === "InvalidProcessing" ? error.problems.map(({ path }) => path) : [error._tag]
}

const txt2img = (input: Parameters<typeof Txt2Img.make>[0]) => ({ processing: Txt2Img.make(input) })

const png = Uint8Array.of(0x89)
const sourceOf = (mask: SourceFacts["mask"], ...sizes: ReadonlyArray<{ width: number; height: number }>) => {
  const [first = { width: 64, height: 64 }, ...others] = sizes
  return { sizes: [first, ...others], mask } satisfies SourceFacts
}

describe("a plan", () => {
  it("has samplers, schedulers and noise levels in place of names", () => {
    const { levels, sampler, scheduler } = planned(
      txt2img({ sampler_name: "k_dpmpp_2m", scheduler: "KARRAS", steps: 4 })
    )
    assert.strictEqual(sampler, Samplers.all[0])
    assert.strictEqual(scheduler, Schedules.all[2])
    assert.strictEqual(levels?.sigmas.length, 5)
    assert.strictEqual(levels?.sampler, sampler)
    assert.strictEqual(levels?.calls, 4)
  })

  it("is the same for the same inputs", () => {
    const overrides = txt2img({ prompt: "a (cat:1.2)", seed: 5, enable_hr: true, n_iter: 2, batch_size: 2 })
    const same = inputs(overrides)
    const once = () => plan(Result.getOrThrow(outline(same)), facts)
    assert.deepStrictEqual(once(), once())
  })

  it("counts seeds on from image to image, and with a variation its seed alone", () => {
    const seeds = (subseed_strength: number) =>
      planned(txt2img({ subseed_strength, batch_size: 2, n_iter: 2 })).batches.map((batch) =>
        batch.map(({ index, seed, subseed }) => [index, seed, subseed])
      )
    assert.deepStrictEqual(seeds(0), [[[0, 7, 3], [1, 8, 4]], [[2, 9, 5], [3, 10, 6]]])
    assert.deepStrictEqual(seeds(0.5), [[[0, 7, 3], [1, 7, 4]], [[2, 7, 5], [3, 7, 6]]])
  })

  it("writes what it settled into infotexts", () => {
    const { batches: [[image] = []] } = planned(txt2img({ prompt: "a cat", sampler_name: "DPM++ 2M Karras" }))
    assert.match(
      image?.infotext ?? "",
      /^a cat\nSteps: 20, Sampler: DPM\+\+ 2M, Schedule type: Karras, .*Seed: 7, Size: 64x64, Model hash: 7e57000000, /
    )
  })

  it("has a second pass that falls back on the first, with levels of its own", () => {
    const request = { enable_hr: true, steps: 6, sampler_name: "DPM++ 2M Karras", denoising_strength: 0.5 }
    const { hires, levels } = planned(txt2img(request))
    assert.deepInclude(hires, { width: 128, height: 128, steps: 6, upscaler: "Latent", latentMode: "bilinear" })
    assert.deepStrictEqual([hires?.sampler.name, hires?.scheduler.label], ["DPM++ 2M", "Karras"])
    // All steps are made below the strength's level.
    assert.strictEqual(hires?.levels?.sigmas.length, 7)
    assert.isBelow(hires?.levels?.sigmas[0] ?? Infinity, levels?.sigmas[0] ?? 0)
    const other = planned(txt2img({ ...request, hr_sampler_name: "Euler", hr_scheduler: "Use same scheduler" })).hires
    assert.deepStrictEqual([other?.sampler.name, other?.scheduler.label], ["Euler", "Karras"])
  })

  it("leaves out steps of img2img by its strength, unless the settings keep them", () => {
    const request = {
      processing: Img2Img.make({ init_images: [png], steps: 10, denoising_strength: 0.5 }),
      source: sourceOf("none")
    }
    assert.strictEqual(planned(request).levels?.calls, 6)
    assert.strictEqual(planned({ ...request, opts: { img2img_fix_steps: true } }).levels?.calls, 10)
  })

  it("takes size and batch from init images, and says whether a mask leaves something to be made", () => {
    const processing = Img2Img.make({ init_images: [png, png], mask: png, batch_size: 2, inpaint_full_res: false })
    const of = (mask: SourceFacts["mask"]) =>
      planned({ processing, source: sourceOf(mask, { width: 70, height: 60 }, { width: 9, height: 9 }) })
    const { batches, height, source, warnings, width } = of("empty")
    assert.deepStrictEqual([width, height, batches[0]?.length], [64, 56, 2])
    assert.deepStrictEqual([source?.isMasked, source?.pixels], [false, undefined])
    assert.match(warnings.join(), /mask is empty/)
    assert.deepStrictEqual([of("used").source?.isMasked, of("used").warnings], [true, []])
    assert.include(of("used").batches[0]?.[0]?.infotext, "Mask blur: 4")
    // An empty mask may be none when it is read otherwise, so that its fields are written as well.
    assert.include(of("empty").batches[0]?.[0]?.infotext, "Mask blur: 4")
  })

  it("cuts the masked area out of images of one size only", () => {
    const processing = Img2Img.make({ init_images: [png, png], mask: png, batch_size: 2 })
    const inputs = { processing, source: sourceOf("used", { width: 70, height: 60 }, { width: 9, height: 9 }) }
    assert.throws(() => planned(inputs), "init_images.1: it is 9x9 pixels, and the first image 70x60")
  })

  it("asks for no refiner that is named nothing", () => {
    const refiner = (refiner_checkpoint: string) => planned(txt2img({ refiner_checkpoint })).refiner
    assert.deepStrictEqual(["", "None", "other"].map(refiner), [
      undefined,
      undefined,
      { checkpoint: "other", switchAt: 0.8 }
    ])
  })
})

describe("an invalid request", () => {
  const big = 2n ** 64n - 1n

  it("has all of its problems named at once, unknown names among them", () => {
    assert.deepStrictEqual(
      paths({
        ...txt2img({
          prompt: "<lora:x:much>",
          width: 60,
          seed: big,
          batch_size: 2,
          sampler_name: "Eler",
          enable_hr: true,
          hr_sampler_name: "Heum",
          hr_upscaler: "Lanczoz"
        })
      }),
      ["sampler_name", "width", "seed", "prompt", "hr_sampler_name", "hr_upscaler"]
    )
  })

  it("has the error of its unknown name when nothing else is wrong", () => {
    assert.strictEqual(refused(txt2img({ sampler_name: "Eler" }))._tag, "UnknownSampler")
    // The second pass has the same name, which is reported once.
    assert.strictEqual(refused(txt2img({ scheduler: "Karras 2", enable_hr: true }))._tag, "UnknownScheduler")
    assert.strictEqual(refused(txt2img({ enable_hr: true, hr_upscaler: "Lanczoz" }))._tag, "UnknownUpscaler")
  })

  it("is over its limits with the size that was settled", () => {
    const limits = Limits.make({ max_width: 256, max_height: 256, max_total_pixels: 64 * 64 * 3 })
    assert.deepStrictEqual(paths({ ...txt2img({ n_iter: 4 }), limits }), ["n_iter"])
    assert.deepStrictEqual(
      paths({ ...txt2img({}), limits, model: TestModel.make({ defaultSize: { width: 512, height: 64 } }) }),
      ["width"]
    )
    assert.deepStrictEqual(paths({ ...txt2img({ enable_hr: true, hr_scale: 8 }), limits }), [
      "hr_scale",
      "hr_scale"
    ])
  })

  it("sends more rows, or more pixels of all rows, through the network than the limits allow", () => {
    const joined = (parts: number) => Array.from({ length: parts }, (_, i) => `cat ${i}`).join(" AND ")
    assert.deepStrictEqual(paths(txt2img({ prompt: joined(1333) })), ["prompt"])
    const problem = (overrides: Parameters<typeof inputs>[0]) => {
      const error = refused(overrides)
      return error._tag === "InvalidProcessing" ? error.problems : []
    }
    const limits = Limits.make({ max_rows: 8, max_row_pixels: 64 * 64 * 6 })
    assert.deepStrictEqual(problem({ ...txt2img({ prompt: joined(3), batch_size: 3 }), limits }), [{
      path: "prompt",
      message:
        "batch size 3 times 3 parts (AND) of the prompt and the negative prompt are 12 rows of a network call, " +
        "over the limit of 8"
    }])
    assert.deepStrictEqual(problem({ ...txt2img({ prompt: joined(1), batch_size: 4 }), limits }), [{
      path: "batch_size",
      message:
        "batch size 4 times 1 part of the prompt and the negative prompt at 64x64 are 32768 pixels of a network " +
        "call, over the limit of 24576"
    }])
    // The second pass counts with its own size and prompt; AND is a word in comments and negative prompts.
    const hires = { prompt: "a # AND b", negative_prompt: joined(9), enable_hr: true, hr_prompt: joined(2) }
    assert.deepStrictEqual(paths({ ...txt2img({ ...hires, hr_scale: 2 }), limits }), ["hr_prompt"])
    settled({ ...txt2img({ ...hires, hr_scale: 1 }), limits })
  })

  it("has a second pass that the model cannot make", () => {
    const processing = Txt2Img.make({ enable_hr: true, hr_resize_x: 8, hr_resize_y: 16 })
    assert.deepStrictEqual(paths({ processing, model: TestModel.make({ sizeMultiple: 16 }) }), ["hr_resize_x"])
  })

  it("has settings without levels to walk", () => {
    assert.deepStrictEqual(paths({ opts: { sigma_min: 20, sigma_max: 10 }, ...txt2img({ scheduler: "karras" }) }), [
      "override_settings.sigma_min",
      "override_settings.sigma_max"
    ])
  })

  it("has init images too large to be encoded as they are", () => {
    const processing = Img2Img.make({ init_images: [png], resize_mode: 3, width: 64, height: 64 })
    assert.deepStrictEqual(paths({ processing, source: sourceOf("none", { width: 4000, height: 10 }) }), [
      "init_images.0"
    ])
  })
})

describe("a plan for another server", () => {
  const remote = (overrides: Partial<OutlineInputs>) =>
    outline(inputs({
      model: elsewhere,
      styles: undefined,
      upscalers: undefined,
      server: {
        samplers: [{ name: "DPM++ 2M Turbo", aliases: ["k_turbo"] }],
        schedulers: [{ name: "turbo", label: "Turbo", aliases: null }]
      },
      ...overrides
    }))

  it("has no noise levels and no infotexts", () => {
    const { batches, levels, model, width } = plan(Result.getOrThrow(remote({})), facts)
    assert.isUndefined(levels)
    assert.deepStrictEqual(batches[0]?.map(({ infotext }) => infotext), [""])
    assert.isUndefined(model.isInpainting)
    assert.strictEqual(width, 512)
  })

  it("knows the server's names besides Serena's", () => {
    const of = (sampler_name: string, scheduler: string) =>
      Result.map(remote(txt2img({ sampler_name, scheduler, enable_hr: true })), ({ hires, sampler, scheduler }) => [
        sampler.name,
        scheduler.label,
        hires?.sampler.name,
        hires?.scheduler.label
      ])
    assert.deepStrictEqual(
      Result.getOrThrow(of("K_TURBO", "turbo")),
      ["DPM++ 2M Turbo", "Turbo", "DPM++ 2M Turbo", "Turbo"]
    )
    assert.deepStrictEqual(Result.getOrThrow(of("euler", "karras")), ["Euler", "Karras", "Euler", "Karras"])
    assert.strictEqual(Result.getOrThrow(Result.flip(of("Turbo 9000", "turbo")))._tag, "UnknownSampler")
  })

  it("leaves styles, tags and upscalers to the server", () => {
    const { hires, prompt, warnings } = Result.getOrThrow(
      remote(txt2img({ prompt: "a <lora:x:1> # cat", styles: ["own"], enable_hr: true, hr_upscaler: "4x-Own" }))
    )
    assert.deepStrictEqual([prompt, hires?.prompt, warnings], ["a <lora:x:1> # cat", "a <lora:x:1> # cat", []])
    assert.deepStrictEqual([hires?.upscaler, hires?.latentMode], ["4x-Own", undefined])
  })
})
