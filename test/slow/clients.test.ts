/**
 * `stable-diffusion-api`, a client of stable-diffusion-webui, unchanged, at `serena serve` with the embedded model.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import sharp, { type Sharp } from "sharp"
import { ControlNetUnit, StableDiffusionApi } from "stable-diffusion-api"
import { withServer } from "../bench/server/serverProcess.ts"

let api: StableDiffusionApi
let end: () => void
let serving: Promise<void>
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "serena-clients-"))
  const until = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  end = until.resolve
  serving = withServer(["--api-auth", "ada:secret"], async ({ port }) => {
    api = new StableDiffusionApi({ host: "127.0.0.1", port }).setAuth("ada", "secret")
    started.resolve()
    await until.promise
  }, folder)
  await Promise.race([started.promise, serving])
})

afterAll(async () => {
  end()
  await serving
  await rm(folder, { recursive: true, force: true })
})

const size = { width: 128, height: 128 }
const circle = { prompt: "a red circle on a blue background", steps: 8, seed: 1, ...size }

/** What a call was refused with: the status, and the words that a client shows. */
const refusal = async (call: Promise<unknown>): Promise<readonly [number, string]> => {
  try {
    await call
  } catch (error) {
    if (typeof error === "object" && error !== null && "response" in error) {
      const { data, status }: { data: unknown; status: number } = Object(error.response)
      return [status, JSON.stringify(data)]
    }
    throw error
  }
  throw new Error("it was not refused")
}

const only = ({ images }: { readonly images: ReadonlyArray<Sharp> }) => {
  const [image, ...others] = images
  assert.isDefined(image)
  assert.lengthOf(others, 0)
  return image
}

const sizeOf = async (image: Sharp) => {
  const { format, height, width } = await image.metadata()
  return [format, width, height]
}

/** The mean of each channel of a square in the middle. */
const middle = async (image: Sharp) => {
  const { channels } = await sharp(await image.clone().extract({ left: 56, top: 56, width: 16, height: 16 }).toBuffer())
    .stats()
  return channels.map(({ mean }) => mean)
}

describe("stable-diffusion-api 0.0.7", () => {
  it("makes images from texts", async () => {
    const result = await api.txt2img(circle)
    assert.deepStrictEqual(await sizeOf(only(result)), ["png", 128, 128])
    const info: unknown = JSON.parse(result.info)
    assert.deepInclude(info, { seed: 1, sampler_name: "Euler a", steps: 8 })
    assert.deepInclude(result.parameters, { steps: 8, cfg_scale: 7, eta: 1 })
    // The same request again gives the same file.
    const again = await api.txt2img(circle)
    assert.deepStrictEqual(again.response.data.images, result.response.data.images)
    // There is a red circle in the middle of it.
    const [red = 0, green = 0, blue = 0] = await middle(only(result))
    assert.isAbove(red, Math.max(green, blue) + 50)
  })

  it("makes several at once, and larger ones in two passes", async () => {
    const batch = await api.txt2img({ ...circle, batch_size: 2, n_iter: 2 })
    assert.lengthOf(batch.images, 4)
    const { all_seeds }: { all_seeds: ReadonlyArray<number> } = JSON.parse(batch.info)
    assert.deepStrictEqual(all_seeds, [1, 2, 3, 4])
    const large = await api.txt2img({ ...circle, width: 64, height: 64, enable_hr: true })
    assert.deepStrictEqual(await sizeOf(only(large)), ["png", 128, 128])
  })

  it("changes images, as a whole and where a mask is white", async () => {
    const image = only(await api.txt2img(circle))
    const init_images = [image]
    const changed = await api.img2img({ init_images, prompt: "a yellow star", steps: 8, seed: 1, ...size })
    assert.deepStrictEqual(await sizeOf(only(changed)), ["png", 128, 128])
    const black = { create: { ...size, channels: 3, background: "black" } } as const
    const mask = sharp(
      await sharp(black).composite([
        {
          input: { create: { width: 32, height: 32, channels: 3, background: "white" } },
          left: 96,
          top: 96
        }
      ]).png().toBuffer()
    )
    const painted = await api.img2img({
      init_images,
      mask_image: mask,
      inpaint_full_res: 0,
      mask_blur: 0,
      prompt: "a yellow star",
      steps: 8,
      ...size
    })
    // What the mask leaves alone stays as it was.
    assert.deepStrictEqual(await middle(only(painted)), await middle(image))
  })

  it("scales images, and reads what is written in them", async () => {
    const image = only(await api.txt2img(circle))
    const { response, ...scaled } = await api.extraSingle({ image, upscaler_1: "Lanczos", upscaling_resize: 1.5 })
    assert.strictEqual(response.status, 200)
    assert.deepStrictEqual(await scaled.images[0]?.metadata().then(({ width }) => width), 192)
    assert.match(scaled.info, /Postprocess upscale by: 1.5/)
    // The client drops the text with the file's other extras, so nothing is found.
    assert.deepStrictEqual((await api.pngInfo(image)).info, {})
    const { info } = await api.pngInfo(sharp(await image.clone().keepMetadata().png().toBuffer()).keepMetadata())
    assert.match(String(info), /^a red circle on a blue background\nSteps: 8, Sampler: Euler a/)
  })

  it("finds edges for ControlNets, and lists what there is of them", async () => {
    const image = only(await api.txt2img(circle))
    const edges = await api.ControlNet.detect({ controlnet_module: "canny", controlnet_input_images: [image] })
    assert.strictEqual((await only(edges).metadata()).width, 512)
    assert.deepStrictEqual(await api.ControlNet.getModels(), [])
    assert.include(await api.ControlNet.getModules(), "canny")
  })

  it("is told clearly what it asks wrongly, as by the original", async () => {
    const image = only(await api.txt2img(circle))
    const scaling = { image, images: [image], name_list: ["a"], upscaler_1: "Lanczos" }
    const batch = await refusal(api.extraBatch(scaling))
    assert.deepStrictEqual(batch, [
      422,
      JSON.stringify({ detail: [{ loc: ["body", "imageList"], msg: "field required", type: "value_error.missing" }] })
    ])
    const unit = new ControlNetUnit({ model: "canny", module: "canny", input_image: image })
    const [status, text] = await refusal(api.txt2img({ ...circle, controlnet_units: [unit] }))
    assert.strictEqual(status, 422)
    assert.match(text, /"args",0,"model".*takes no ControlNet/)
    const depth = api.ControlNet.detect({ controlnet_module: "depth", controlnet_input_images: [image] })
    assert.deepStrictEqual((await refusal(depth))[0], 422)
    const [interrogation, words] = await refusal(api.interrogate(image, "clip"))
    assert.strictEqual(interrogation, 501)
    assert.match(words, /Interrogation is not available here/)
    const [signIn] = await refusal(new StableDiffusionApi({ port: api.config.port }).getSamplers())
    assert.strictEqual(signIn, 401)
  })

  it("reads and sets settings", async () => {
    const options: Record<string, unknown> = await api.getOptions()
    assert.strictEqual(options["send_seed"], true)
    assert.isNull(await api.setOptions({ send_seed: false }))
    assert.strictEqual((await api.getOptions()).send_seed, false)
    // Whatever was given is taken back.
    assert.isNull(await api.setOptions(options))
    assert.deepStrictEqual(await api.getOptions(), options)
  })

  it("lists what there is", async () => {
    const names = (list: ReadonlyArray<{ readonly name: string }>) => list.map(({ name }) => name)
    assert.includeMembers(names(await api.getSamplers()), ["Euler", "Euler a", "DPM++ 2M", "DDIM", "UniPC"])
    assert.deepStrictEqual(names(await api.getUpscalers()).slice(0, 3), ["None", "Lanczos", "Nearest"])
    assert.isObject(await api.getCmdFlags())
    for (
      const list of [
        await api.getHypernetworks(),
        await api.getFaceRestorers(),
        await api.getRealesrganModels(),
        await api.getPromptStyles()
      ]
    ) assert.deepStrictEqual(list, [])
    const [model] = await api.getSdModels()
    assert.deepInclude(model, { model_name: "shapes-128" })
    await api.refreshCheckpoints()
  })

  it("changes the model, by its title", async () => {
    const title = await api.getCurrentModel()
    assert.match(title, /^shapes-128 \[[0-9a-f]{10}\]$/)
    await api.setOptions({ sd_model_checkpoint: title })
    assert.strictEqual(await api.getCurrentModel(), title)
    // Its own search reads a field that the API does not have, here as in the original.
    await api.setModel("shapes").then(
      () => assert.fail("it has found a model"),
      (error: unknown) => assert.instanceOf(error, TypeError)
    )
  })

  it("sees progress while an image is made, and waits until all is done", async () => {
    const run = api.txt2img({ ...circle, steps: 100 })
    const seen: Array<number> = []
    const isOver = () => Promise.race([run.then(() => true), setTimeout(20, false)])
    while (!await isOver()) {
      const { progress } = await api.getProgress()
      if (progress > 0) seen.push(progress)
    }
    assert.isAbove(seen.length, 2)
    assert.deepStrictEqual(seen, seen.toSorted((a, b) => a - b))
    assert.isAtMost(Math.max(...seen), 1)
    assert.lengthOf((await run).images, 1)
    assert.isTrue(await api.waitForReady(0.02))
    const { progress, state } = await api.getProgress()
    assert.deepStrictEqual([progress, state.job_count], [0, 0])
  })
})
