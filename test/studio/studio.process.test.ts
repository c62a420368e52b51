/**
 * The studio as people use it: a real browser on a real server with the embedded model.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import type { BrowserContextOptions, Page } from "playwright-core"
import sharp from "sharp"
import type { RunList } from "../../src/contract/Run.ts"
import { serious } from "./axe.ts"
import {
  accepted,
  button,
  dropFile,
  gallery,
  generate,
  generateImage,
  number,
  opener,
  problem,
  prompt,
  seed,
  submitted,
  tab
} from "./steps.ts"
import { Studio, type Visited } from "./Studio.ts"

/** Visits the studio, and lets somebody act there. */
const visiting = (act: (page: Page, visited: Visited) => Promise<void>, options?: BrowserContextOptions) =>
  Effect.gen(function*() {
    const { visit } = yield* Studio
    const visited = yield* visit(options)
    yield* Effect.promise(() => act(visited.page, visited))
    assert.deepStrictEqual(visited.complaints, [])
  })

const pixelsOf = async (sent: unknown) => {
  const bytes = Buffer.from(String(sent), "base64")
  const { data, info } = await sharp(bytes).greyscale().raw().toBuffer({
    resolveWithObject: true
  })
  return { ...info, at: (x: number, y: number) => data[y * info.width + x] }
}

/** An image with settings in it. */
const latest = (page: Page): Promise<Uint8Array> =>
  page.evaluate(async () => {
    const list = await (await fetch("v1/runs?limit=100")).json()
    const run = list.runs.find(({ status }: { status: { _tag: string } }) => status._tag === "Done")
    return [...new Uint8Array(await (await fetch(run.status.images[0].url)).arrayBuffer())]
  }).then((bytes) => Uint8Array.from(bytes))

/** Sets the server's model; the page shows it once it is loaded again. */
const choose = async (page: Page, sd_model_checkpoint: string) => {
  const status = await page.evaluate(async (body) => {
    const headers = { "content-type": "application/json" }
    return (await fetch("v1/options", { method: "PATCH", body, headers })).status
  }, JSON.stringify({ sd_model_checkpoint }))
  assert.strictEqual(status, 200)
  await page.reload()
}

const tabs = ["Text to image", "Image to image", "Inpaint", "Upscale", "Models", "PNG info", "Settings"]

layer(Studio.layer, { excludeTestServices: true, timeout: "5 minutes" })("the studio", (it) => {
  it.effect("leads from an empty page to an image in two clicks, and to a file in a third", () =>
    visiting(async (page, { strangers }) => {
      await button(page, "a red circle on a blue background").click()
      await generate(page).click()
      await gallery(page).first().waitFor()
      const [download] = await Promise.all([page.waitForEvent("download"), button(page, "Download").click()])
      const file = await readFile(await download.path())
      const { height, width } = await sharp(file).metadata()
      assert.deepStrictEqual([width, height], [128, 128])
      assert.include(file.toString("latin1"), "a red circle on a blue background")
      assert.match(download.suggestedFilename(), /^serena-\d+-.*\.png$/)
      assert.deepStrictEqual(strangers, [])
    }))

  it.effect("is two small files that browsers keep, under a strict policy", () =>
    Effect.gen(function*() {
      const { url } = yield* Studio
      yield* Effect.promise(async () => {
        const get = (path: string, headers = {}) =>
          fetch(new URL(path, url), { headers: { "accept-encoding": "gzip", ...headers } })
        const page = await get("")
        const html = await page.text()
        const policy = page.headers.get("content-security-policy") ?? ""
        assert.include(policy, "default-src 'self'")
        assert.notInclude(policy, "unsafe")
        assert.strictEqual(page.headers.get("cache-control"), "no-cache")
        const again = await get("", { "if-none-match": page.headers.get("etag") })
        assert.strictEqual(again.status, 304)
        const paths = [...html.matchAll(/(?:src|href)="(studio\/[^"]+)"/g)].map(([, path]) => path ?? "")
        assert.lengthOf(paths, 2)
        let total = Number(page.headers.get("content-length"))
        for (const path of paths) {
          const asset = await get(path)
          assert.strictEqual(asset.headers.get("content-encoding"), "gzip")
          assert.include(asset.headers.get("cache-control"), "immutable")
          total += Number(asset.headers.get("content-length"))
          await asset.arrayBuffer()
        }
        assert.isAbove(total, 5000)
        assert.isBelow(total, 200_000)
        const missing = await get("studio/app-0000.js")
        assert.strictEqual(missing.status, 404)
        const head = await fetch(url, { method: "HEAD" })
        assert.deepStrictEqual([head.status, await head.text()], [200, ""])
        const wrong = await fetch(url, { method: "POST" })
        assert.strictEqual(wrong.status, 405)
      })
    }))

  it.effect("counts the tokens of both prompts while they are typed, for eyes and as descriptions of the fields", () =>
    visiting(async (page) => {
      const { keyboard } = page
      const describedBy = async (name: string) =>
        page.locator(`#${await page.getByRole("textbox", { name, exact: true }).getAttribute("aria-describedby")}`)
      await (await describedBy("Prompt")).filter({ hasText: "0/75 tokens" }).waitFor()
      await prompt(page).focus()
      let requests = 0
      page.on("request", (request) => {
        if (request.url().endsWith("/v1/count-tokens")) requests++
      })
      await keyboard.type("a (red circle:1.2) on blue <lora:Soft light:1> BREAK a star", { delay: 5 })
      await (await describedBy("Prompt")).filter({ hasText: "77/150 tokens" }).waitFor()
      await keyboard.press("Tab")
      await keyboard.type("blurry")
      await (await describedBy("Negative prompt")).filter({ hasText: /^[1-9]\/75 tokens/ }).waitFor()
      // One a pause, not one a key.
      assert.isBelow(requests, 20)
    }))

  it.effect("suggests what a prompt may go on with, by keys, by the pointer, and after an input method", () =>
    visiting(async (page) => {
      const { keyboard } = page
      const options = page.getByRole("listbox", { name: "Suggestions" }).getByRole("option")
      const shown = async (words: string) => {
        await options.filter({ hasText: words }).first().waitFor()
        // The one that keys take is what the field names.
        const active = await prompt(page).getAttribute("aria-activedescendant")
        return page.locator(`[id="${active}"]`).innerText()
      }
      const holds = (text: string) =>
        page.waitForFunction(
          (text) => document.querySelector<HTMLTextAreaElement>("#field-prompt")?.value === text,
          text
        )
      await prompt(page).focus()
      await keyboard.type("1girl, long")
      assert.match(await shown("long dress"), /^long hair/)
      assert.deepStrictEqual(await serious(page), [])
      await keyboard.press("ArrowDown")
      assert.match(await shown("long hair"), /^long dress/)
      await keyboard.press("Tab")
      await holds("1girl, long dress, ")
      await keyboard.press("Control+z")
      await holds("1girl, long")
      assert.strictEqual(await options.count(), 0)

      await keyboard.type("ha")
      await shown("long hair")
      await keyboard.press("Escape")
      assert.strictEqual(await options.count(), 0)
      await holds("1girl, longha")
      await keyboard.press("Backspace")
      await shown("long hair")
      // More attention, and no other suggestion.
      await keyboard.press("Control+ArrowUp")
      await holds("1girl, (longh:1.1)")
      assert.strictEqual(await options.count(), 0)

      await keyboard.press("Control+a")
      await keyboard.type("a <lora:so")
      await shown("LoRA")
      await keyboard.press("Enter")
      await holds("a <lora:Soft light:1>")
      await keyboard.type(" __")
      await shown("__animals/pets__")
      await keyboard.press("Enter")
      await keyboard.type(", bad")
      await options.filter({ hasText: "bad-hands" }).click()
      await holds("a <lora:Soft light:1> __animals/pets__, bad-hands, ")

      // While an input method composes, its keys are its own.
      const devtools = await page.context().newCDPSession(page)
      const counted = page.waitForResponse((response) => response.url().endsWith("/v1/count-tokens"))
      await devtools.send("Input.imeSetComposition", { text: "lon", selectionStart: 3, selectionEnd: 3 })
      await holds("a <lora:Soft light:1> __animals/pets__, bad-hands, lon")
      // The tokens are counted later than suggestions would be asked for.
      await counted
      assert.strictEqual(await options.count(), 0)
      await devtools.send("Input.insertText", { text: "long" })
      await shown("long hair")
    }))

  it.effect("keeps styles and presets on the server by keys alone, and brings earlier prompts back", () =>
    visiting(async (page) => {
      const { keyboard } = page
      const field = (name: string) => page.getByRole("textbox", { name, exact: true })
      const holds = (id: string, text: string) =>
        page.waitForFunction(
          ([id, text]) => {
            const node = document.getElementById(`field-${id}`)
            return node instanceof HTMLTextAreaElement && node.value === text
          },
          [id, text] as const
        )
      const kept = (path: string) => page.evaluate(async (path) => (await fetch(`v1/${path}`)).json(), path)
      const said = (words: string) => page.getByRole("status").getByText(words)
      await generateImage(page, "a fox")
      const fold = page.locator("summary", { hasText: "Presets and styles" })
      await fold.press("Enter")
      await field("Style name").focus()
      await keyboard.type("Noir")
      await field("Style prompt, {prompt} for the prompt").focus()
      await keyboard.type("{prompt}, film noir")
      await button(page, "Save style").press("Enter")
      const chip = button(page, "Noir")
      await chip.press("Enter")
      assert.deepStrictEqual(await kept("styles"), [
        { name: "Noir", prompt: "{prompt}, film noir", negative_prompt: "" }
      ])
      // Another name, in the form too, and all of it back.
      await field("Style name").press("End")
      await keyboard.type(" 2")
      await button(page, "Save style").press("Enter")
      await page.locator(".chip[aria-pressed=true]", { hasText: "Noir 2" }).waitFor()
      assert.deepStrictEqual((await kept("styles")).map(({ name }: { name: string }) => name), ["Noir 2"])
      await button(page, "Undo").press("Enter")
      await page.locator(".chip[aria-pressed=true]", { hasText: /^Noir$/ }).waitFor()
      await page.getByRole("combobox", { name: "Style", exact: true }).selectOption("Noir")
      await button(page, "Remove style").press("Enter")
      await said("The style Noir is removed.").waitFor()
      await chip.waitFor({ state: "detached" })
      await button(page, "Undo").press("Enter")
      await page.locator(".chip[aria-pressed=true]", { hasText: /^Noir$/ }).waitFor()
      await chip.press("Enter")

      await number(page, "Sampling steps").fill("7")
      await field("Preset name").focus()
      await keyboard.type("Quick")
      await button(page, "Save preset").press("Enter")
      await said("The preset Quick is saved.").waitFor()
      const [preset] = await kept("presets")
      assert.deepInclude(preset.settings, { steps: 7, sampler_name: "Euler" })
      assert.doesNotHaveAnyKeys(preset.settings, ["prompt", "seed"])
      assert.deepStrictEqual(await serious(page), [])

      // A browser that knows nothing of it has it, too.
      await page.evaluate(() => localStorage.clear())
      await page.reload()
      await fold.press("Enter")
      const steps = number(page, "Sampling steps")
      assert.strictEqual(await steps.inputValue(), "20")
      await page.getByRole("combobox", { name: "Preset", exact: true }).selectOption("Quick")
      await button(page, "Apply").press("Enter")
      await said("The form has the settings of the preset Quick.").waitFor()
      assert.strictEqual(await steps.inputValue(), "7")
      await button(page, "Undo").press("Enter")
      await page.waitForFunction(() => document.querySelector<HTMLInputElement>("#field-steps")?.value === "20")
      await button(page, "Remove preset").press("Enter")
      await said("The preset Quick is removed.").waitFor()
      assert.deepStrictEqual(await kept("presets"), [])

      await prompt(page).focus()
      await keyboard.type("a cat")
      await button(page, "Last prompts").press("Enter")
      const menu = page.getByRole("menu", { name: "Last prompts" })
      await menu.getByRole("menuitem", { name: "a fox" }).waitFor()
      await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "menuitem")
      assert.deepStrictEqual(await serious(page), [])
      await keyboard.press("Enter")
      await holds("prompt", "a fox")
      await keyboard.press("Control+z")
      await holds("prompt", "a cat")
    }))

  it.effect("finds models, LoRAs and embeddings by keys alone, and writes them into the prompts", () =>
    Effect.gen(function*() {
      const { visit } = yield* Studio
      const { complaints, page } = yield* visit()
      yield* Effect.promise(async () => {
        const { keyboard } = page
        const negative = page.getByRole("textbox", { name: "Negative prompt" })
        await page.locator("summary", { hasText: "Models, LoRAs and embeddings" }).press("Enter")
        await page.locator(".network[aria-pressed=true]", { hasText: "shapes-128" }).waitFor()
        await prompt(page).focus()
        await keyboard.type("a cat,")
        await page.getByRole("radio", { name: "Models" }).focus()
        await keyboard.press("ArrowRight")
        const lora = button(page, "Soft light")
        await lora.waitFor()
        await page.waitForFunction(() => document.querySelector<HTMLImageElement>(".network img")?.naturalWidth)
        for (const expected of ["a cat <lora:Soft light:1>", "a cat"]) {
          await lora.press("Enter")
          assert.strictEqual(await prompt(page).inputValue(), expected)
          assert.strictEqual(await lora.getAttribute("aria-pressed"), String(expected.includes("lora")))
        }
        await page.getByRole("searchbox", { name: "Search files" }).focus()
        await keyboard.type("hands")
        await page.getByText("No LoRA has this text.").waitFor()
        await negative.focus()
        await keyboard.type("blurry")
        await page.getByRole("radio", { name: "Embeddings" }).check()
        await button(page, "bad-hands").press("Enter")
        assert.strictEqual(await negative.inputValue(), "blurry, bad-hands")
        await button(page, "bad-hands").press("Enter")
        assert.strictEqual(await negative.inputValue(), "blurry")
      })
      assert.deepStrictEqual(complaints, [])
    }))

  it.effect("has a tab of all models, downloads another one, and uses it, by keys alone", () =>
    visiting(async (page) => {
      const { keyboard } = page
      await tab(page, "Text to image").focus()
      for (let i = 0; i < 4; i++) await keyboard.press("ArrowRight")
      const files = page.locator(".file")
      const named = (name: string) => files.filter({ has: page.getByRole("heading", { name, exact: true }) })
      await named("shapes-128").waitFor()
      await page.waitForFunction(() => document.querySelector<HTMLImageElement>(".file img")?.naturalWidth)
      await named("torn").getByText(/^Not used: its header .* it is no safetensors file\.$/).waitFor()

      // Found by a text, and put into the prompt.
      await page.getByRole("searchbox", { name: "Search models" }).focus()
      await keyboard.type("hands")
      await page.waitForFunction(() => document.querySelectorAll(".file").length === 1)
      await button(page, "Add to the prompt: bad-hands").press("Enter")
      await button(page, "In the prompt: bad-hands").waitFor()
      await page.getByRole("searchbox", { name: "Search models" }).press("Control+a")
      await keyboard.press("Delete")
      await button(page, /^LoRAs 1$/).press("Space")
      await page.waitForFunction(() => document.querySelectorAll(".file").length === 1)
      await button(page, /^All/).press("Space")

      // What is refused stays in the field, with the reason.
      const source = page.getByRole("textbox", { name: "Download a model" })
      await source.focus()
      await keyboard.type("file:///etc/passwd")
      await keyboard.press("Enter")
      await page.getByRole("alert").getByText(/^Addresses begin with https/).waitFor()
      await source.press("Control+a")
      await keyboard.type("owner/name/fetched.safetensors")
      await keyboard.press("Enter")
      // The first answer stops in its middle; the second one goes on from there.
      const bar = page.getByRole("progressbar", { name: "Download of fetched.safetensors" })
      await page.waitForFunction(() =>
        Number(document.querySelector(".download [role=progressbar]")?.getAttribute("aria-valuenow")) >= 49
      )
      assert.deepStrictEqual(await serious(page), [])
      await button(page, "Cancel the download of fetched.safetensors").press("Enter")
      await bar.waitFor({ state: "hidden" })
      await page.getByText(/^cancelled, /).waitFor()
      await button(page, "Continue: fetched.safetensors").press("Enter")
      await page.getByText("fetched.safetensors is there.").waitFor()
      await named("fetched").waitFor()
      for (const width of [360, 2560]) {
        await page.setViewportSize({ width, height: 900 })
        await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth)
      }

      // The form follows the size of the model, and leaves what was typed.
      await button(page, "Use: fetched").press("Enter")
      await page.locator(".model-choice option:checked", { hasText: "fetched" }).waitFor({ state: "attached" })
      await tab(page, "Text to image").press("Enter")
      assert.strictEqual(await prompt(page).inputValue(), "bad-hands")
      const size = (name: string) => number(page, name).getAttribute("placeholder")
      assert.deepStrictEqual([await size("Width"), await size("Height")], ["512", "512"])
      await number(page, "Width").focus()
      await keyboard.type("96")
      await page.getByRole("combobox", { name: "Model" }).first().selectOption("shapes-128")
      await page.locator("#field-height[placeholder='128']").waitFor()
      assert.strictEqual(await number(page, "Width").inputValue(), "96")
      assert.strictEqual(await number(page, "Height").inputValue(), "")
    }))

  it.effect("follows an image by a ControlNet, by keys alone, and brings its settings back", () =>
    visiting(async (page) => {
      const { keyboard } = page
      const unit = page.getByRole("region", { name: "ControlNet 1" })
      await choose(page, "sd1-full-vocabulary")
      for (const name of ["Width", "Height"]) await number(page, name).fill("64")
      await number(page, "Sampling steps").fill("2")
      const listed = page.waitForResponse(/model-files\?kind=controlnet/)
      await page.locator("summary", { hasText: "ControlNet" }).press("Enter")
      await listed
      await button(page, "Add a ControlNet").press("Enter")
      await keyboard.press("Control+Enter")
      await problem(page, "Choose the image to follow.").waitFor()

      // Pasted where the focus is.
      await button(unit, "Choose a file").focus()
      const ring = await sharp({ create: { width: 96, height: 64, channels: 3, background: "black" } })
        .composite([{
          input: Buffer.from("<svg width='96' height='64'><circle cx='40' cy='30' r='20' fill='#fb3'/></svg>")
        }])
        .png().toBuffer()
      await page.evaluate((data) => {
        const clipboardData = new DataTransfer()
        clipboardData.items.add(new File([new Uint8Array(data)], "circle.png", { type: "image/png" }))
        document.activeElement?.dispatchEvent(
          new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true })
        )
      }, [...ring])
      await unit.getByRole("img", { name: "Image to follow, circle.png" }).waitFor()
      assert.strictEqual(await problem(page, "Choose the image to follow.").count(), 0)

      await unit.getByRole("combobox", { name: "Preprocessor" }).focus()
      await keyboard.type("canny")
      await keyboard.press("Tab")
      await keyboard.press("Enter")
      const map = unit.getByRole("img", { name: "What canny makes of the image" })
      await map.waitFor()
      await page.waitForFunction(() =>
        document.querySelector<HTMLImageElement>(".pair img + img")?.naturalHeight === 512
      )
      await unit.getByRole("switch", { name: "Pixel Perfect" }).press("Space")
      assert.strictEqual(await map.count(), 0)
      assert.strictEqual(await unit.getByRole("spinbutton", { name: "Preprocessor resolution" }).count(), 0)
      await unit.getByRole("spinbutton", { name: "High Threshold" }).focus()
      await keyboard.type("150")
      await unit.getByRole("spinbutton", { name: "Control weight" }).press("Control+a")
      await keyboard.type("0.8")
      assert.deepStrictEqual(await serious(page), [])
      const request = await submitted(page, () => keyboard.press("Control+Enter"))
      assert.deepStrictEqual(request["control_units"], [{
        enabled: true,
        model: "edges",
        module: "canny",
        image: ring.toString("base64"),
        weight: 0.8,
        guidance_start: 0,
        guidance_end: 1,
        control_mode: "balanced",
        resize_mode: "crop",
        pixel_perfect: true,
        threshold_b: 150,
        low_vram: false
      }])
      await gallery(page).first().waitFor()

      await page.reload()
      await unit.getByRole("img", { name: "Image to follow, circle.png" }).waitFor()
      await page.setViewportSize({ width: 360, height: 780 })
      await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth)
      await button(unit, "Remove ControlNet 1").press("Enter")
      assert.strictEqual(await unit.count(), 0)
      await dropFile(page, await latest(page), "made.png")
      await page.getByText(/Give the image that it followed again/).waitFor()
      await button(page, "Use these settings").press("Enter")
      await page.getByText("Give the images of its ControlNets again.").waitFor()
      assert.strictEqual(await unit.getByRole("combobox", { name: "Model" }).inputValue(), "edges")
      assert.strictEqual(await unit.getByRole("spinbutton", { name: "Control weight" }).inputValue(), "0.8")
      assert.strictEqual(await unit.getByRole("spinbutton", { name: "High Threshold" }).inputValue(), "150")
      await button(unit, "Use the last image").press("Enter")
      await unit.getByRole("img", { name: "Image to follow, the last image" }).waitFor()
      await choose(page, "shapes-128")
    }))

  it.effect("makes a plot of what is typed by keys alone, shows it before its cells, and brings its axes back", () =>
    visiting(async (page) => {
      const { keyboard } = page
      const values = (axis: string) => page.getByRole("textbox", { name: `Values of the ${axis} axis` })
      for (const name of ["Width", "Height"]) await number(page, name).fill("64")
      await prompt(page).fill("a red circle")
      await page.locator("summary", { hasText: "Plot" }).press("Enter")
      await page.getByRole("combobox", { name: "X axis" }).focus()
      await keyboard.type("Steps")
      await keyboard.press("Tab")
      await keyboard.type("some")
      await keyboard.press("Control+Enter")
      await problem(page, "\"some\" is not a whole number.").waitFor()
      assert.isTrue(await values("X").evaluate((node) => node === document.activeElement))
      await values("X").press("Control+a")
      await keyboard.type("2-4 (+2)")
      assert.strictEqual(await page.locator("[data-problem=x_axis]:visible").count(), 0)
      await page.getByRole("combobox", { name: "Y axis" }).focus()
      await keyboard.type("Prompt m")
      await keyboard.press("Tab")
      await keyboard.type("night | rain")
      await page.getByText("2 × 4: 8 images, and one that shows all of them with their values.").waitFor()
      // What the server has names for is written by a button.
      await page.getByRole("combobox", { name: "Z axis" }).focus()
      await keyboard.type("Sched")
      await button(page, "All").press("Enter")
      assert.match(await values("Z").inputValue(), /^Automatic, Uniform, Karras, /)
      await page.getByRole("combobox", { name: "Z axis" }).selectOption("Nothing")
      assert.deepStrictEqual(await serious(page), [])

      const request = await submitted(page, () => generate(page).click())
      assert.deepInclude(request, { x_axis: "Steps: 2-4 (+2)", y_axis: "Prompt matrix: night | rain" })
      assert.notProperty(request, "z_axis")
      const made = page.locator(".plotted .stage-image")
      await made.first().waitFor()
      assert.strictEqual(await made.count(), 9)
      await page.waitForFunction(() => {
        const [first, ...others] = document.querySelectorAll<HTMLImageElement>(".plotted img")
        return first !== undefined && first.naturalHeight > 4 * 64 && others.every((cell) => cell.naturalHeight === 64)
      })
      await page.waitForFunction(() => document.querySelector<HTMLImageElement>(".thumb img")?.naturalWidth)
      await button(page, "Open: Plot: a red circle").first().press("Enter")
      const dialog = page.getByRole("dialog", { name: "Image viewer" })
      await dialog.getByText("1 of 9").waitFor()
      for (let i = 0; i < 4; i++) await keyboard.press("ArrowRight")
      await dialog.locator("dd").getByText("Steps: 4, night").waitFor()
      assert.include(await dialog.locator("pre").innerText(), "a red circle, night\nSteps: 4")
      await keyboard.press("Escape")

      await page.setViewportSize({ width: 360, height: 780 })
      await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth)
      for (const axis of ["X", "Y"]) await page.getByRole("combobox", { name: `${axis} axis` }).selectOption("Nothing")
      await page.getByText("Choose what differs from column to column").waitFor()
      await opener(page, 0).press("Enter")
      await button(dialog, "Reuse all settings").click()
      await page.getByText("The form has the settings of this image.").waitFor()
      assert.deepStrictEqual([await values("X").inputValue(), await values("Y").inputValue()], [
        "2-4 (+2)",
        "night | rain"
      ])
    }))

  it.effect("makes a run of each of several files, by their names, and one that fails stops no other", () =>
    visiting(async (page) => {
      const png = (background: string) =>
        sharp({ create: { width: 64, height: 64, channels: 3, background } }).png().toBuffer()
      // A BMP file of eight bits, which browsers can show, and the server cannot read.
      const odd = Buffer.alloc(54 + 4 * 256 + 64 * 64)
      odd.write("BM")
      odd.writeUInt32LE(odd.length, 2)
      odd.writeUInt32LE(54 + 4 * 256, 10)
      for (const [at, value] of [[14, 40], [18, 64], [22, 64], [26, 1], [28, 8]]) odd.writeUInt8(value ?? 0, at)
      const colours = ["red", "green", "blue", "white", "cyan", "pink", "gold"]
      const files = await Promise.all(colours.map(async (colour) => ({
        name: `${colour}.png`,
        mimeType: "image/png",
        buffer: await png(colour)
      })))
      const choose = async (name: string, some: typeof files) => {
        const [chooser] = await Promise.all([page.waitForEvent("filechooser"), button(page, name).press("Enter")])
        assert.isTrue(chooser.isMultiple())
        await chooser.setFiles(some)
      }
      await tab(page, "Image to image").click()
      await choose("Choose files", files.slice(0, 3))
      await page.getByText("3 images, each a run of its own").waitFor()
      await button(page, "Remove green.png").click()
      await page.getByText("2 images, each a run of its own").waitFor()
      await page.getByRole("status").getByRole("button", { name: "Undo" }).click()
      await choose("Add", [...files.slice(3), { name: "odd.bmp", mimeType: "image/bmp", buffer: odd }])
      await page.getByText("8 images, each a run of its own").waitFor()
      await page.reload()
      await page.getByText("8 images, each a run of its own").waitFor()

      await prompt(page).fill("a ring")
      await number(page, "Sampling steps").fill("2")
      await page.evaluate(async () => {
        const headers = { "content-type": "application/json" }
        await fetch("v1/queue", { method: "PATCH", body: JSON.stringify({ paused: true }), headers })
      })
      await generate(page).click()
      const queue = page.getByRole("region", { name: "Queue" })
      await queue.getByText("pink.png: a ring").waitFor()
      await queue.getByText("gold.png: a ring").waitFor()
      // As many runs as that leave the browser connections for all else.
      await button(queue, `Cancel "pink.png: a ring"`).click()
      await queue.getByText("pink.png: a ring").waitFor({ state: "hidden" })
      await button(queue, "Resume").click()
      await page.getByRole("alert").getByText(/odd\.bmp/).waitFor()
      await page.getByRole("region", { name: "Latest images" }).waitFor()
      await page.waitForFunction(() => document.querySelectorAll(".thumb img").length === 6)
      assert.strictEqual(await gallery(page).count(), 7)
    }))

  it.effect("goes on forever until its button is pressed again, and says each end by a notification and a sound", () =>
    visiting(async (page) => {
      // What the browser's own notifications and sounds are asked for, where the test can read it.
      await page.evaluate(() => {
        const asked = { notifications: Array<unknown>(), sounds: Array<string>(), tones: 0 }
        const note = () => {
          document.documentElement.dataset["asked"] = JSON.stringify(asked)
        }
        globalThis.Notification = new Proxy(Notification, {
          construct: (target, given) => {
            asked.notifications.push(given)
            note()
            return Reflect.construct(target, given)
          }
        })
        globalThis.AudioContext = new Proxy(AudioContext, {
          construct: (target) => {
            const context = new target()
            context.addEventListener("statechange", () => {
              asked.sounds.push(context.state)
              note()
            })
            return context
          }
        })
        const { start } = OscillatorNode.prototype
        OscillatorNode.prototype.start = function(when) {
          asked.tones++
          return start.call(this, when)
        }
      })
      const asked = () => page.evaluate(() => JSON.parse(document.documentElement.dataset["asked"] ?? "{}"))
      await tab(page, "Settings").click()
      await page.getByRole("switch", { name: "Notification when a run ends" }).press("Space")
      await page.getByRole("switch", { name: "Sound when a run ends" }).press("Space")
      // It is heard once when it comes on.
      await page.waitForFunction(() => document.documentElement.dataset["asked"]?.includes("running"))
      assert.strictEqual((await asked()).tones, 2)

      await tab(page, "Text to image").click()
      await prompt(page).fill("a pink heart")
      await number(page, "Sampling steps").fill("2")
      for (const name of ["Width", "Height"]) await number(page, name).fill("64")
      const forever = button(page, "Go on forever")
      await forever.press("Enter")
      await gallery(page).nth(1).waitFor()
      assert.isAtLeast((await asked()).tones, 4)
      assert.lengthOf((await asked()).notifications, 0)
      await page.evaluate(() => Object.defineProperty(document, "hidden", { configurable: true, get: () => true }))
      await page.waitForFunction(() => document.documentElement.dataset["asked"]?.includes("a pink heart"))
      assert.deepStrictEqual((await asked()).notifications[0], ["Done", { body: "a pink heart" }])

      await forever.press("Enter")
      assert.strictEqual(await forever.getAttribute("aria-pressed"), "false")
      // A run may have been submitted just before.
      const count = await page.waitForFunction(async () => {
        const { runs } = await (await fetch("v1/runs?limit=100")).json()
        return runs.every(({ status }: { status: { _tag: string } }) => status._tag === "Done") && runs.length
      })
      await page.waitForFunction(
        (count) => document.querySelectorAll(".thumb").length === count,
        await count.jsonValue()
      )
      await page.getByRole("region", { name: "Latest images" }).waitFor()
    }, { permissions: ["notifications"] }))

  it.effect("can be used over a slow network, and shows what is made now", () =>
    visiting(async (page) => {
      const network = await page.context().newCDPSession(page)
      await network.send("Network.enable")
      await network.send("Network.emulateNetworkConditions", {
        offline: false,
        latency: 400,
        downloadThroughput: 30_000,
        uploadThroughput: 15_000
      })
      await prompt(page).fill("a large yellow star on a black background")
      await number(page, "Sampling steps").fill("150")
      await number(page, "Batch count").fill("3")
      for (const name of ["Width", "Height"]) await number(page, name).fill("192")
      await generate(page).click()
      await page.getByRole("img", { name: "Preview of the image being generated" }).waitFor()
      // Steps and previews that come late are left out, so that the page is not further and further behind.
      const runs = new URL("v1/runs", page.url()).href
      for (const step of [20, 50]) {
        const shown = await page.waitForFunction((step) => {
          const [, now = ""] = /Step (\d+) of 150/.exec(document.querySelector(".progress")?.textContent ?? "") ?? []
          return Number(now) >= step ? Number(now) : undefined
        }, step)
        const { runs: [run] }: RunList = await (await page.request.get(runs)).json()
        if (run?.status._tag !== "Running") throw new Error("The run has ended before it was shown.")
        assert.isBelow(run.status.progress.step - Number(await shown.jsonValue()), 30)
      }
      await tab(page, "PNG info").click()
      await tab(page, "Text to image").click()
      await prompt(page).press("Control+a")
      await page.keyboard.type("a pink heart")
      assert.strictEqual(await prompt(page).inputValue(), "a pink heart")
      await button(page, "Interrupt").click()
      await page.getByText("Ending after this step").or(page.getByText(/seed \d+, interrupted/)).first().waitFor()
      await page.getByText(/seed \d+, interrupted/).waitFor()
    }))

  it.effect("asks how closely the image is followed where a model edits images, and only there", () =>
    visiting(async (page) => {
      const scale = number(page, "Image CFG scale")
      for (const [model, count] of [["edits", 1], ["shapes-128", 0]] as const) {
        await choose(page, model)
        await tab(page, "Image to image").click()
        await page.locator(".model-choice option:checked", { hasText: model }).waitFor({ state: "attached" })
        assert.strictEqual(await scale.count(), count)
      }
    }))

  it.effect("shows a run live, and gives what it has when it is interrupted", () =>
    visiting(async (page) => {
      await prompt(page).fill("a large yellow star on a black background")
      await number(page, "Sampling steps").fill("150")
      await number(page, "Width").fill("256")
      await number(page, "Height").fill("256")
      await generate(page).click()
      await page.getByRole("img", { name: "Preview of the image being generated" }).waitFor()
      await page.getByText(/^Step \d+ of 150$/).waitFor()
      assert.isAbove(Number(await page.getByRole("progressbar").getAttribute("aria-valuenow")), 0)
      await page.waitForFunction(() => /^\d+ % - Serena studio$/.test(document.title))

      // A second one waits its turn, and is cancelled there.
      await prompt(page).fill("a pink heart")
      await generate(page).click()
      // Taken out of the queue into the form, and put back.
      await prompt(page).fill("something else")
      await button(page, `Edit "a pink heart"`).click()
      await page.getByText("The run is in the form, and no longer in the queue.").waitFor()
      assert.strictEqual(await prompt(page).inputValue(), "a pink heart")
      await button(page, "Undo").click()
      await page.waitForFunction(() =>
        document.querySelector<HTMLTextAreaElement>("#field-prompt")?.value === "something else"
      )
      await button(page, `Cancel "a pink heart"`).click()
      await page.getByText("The run was cancelled.").first().waitFor()

      await button(page, "Interrupt").click()
      await page.getByText(/seed \d+, interrupted/).waitFor()
      assert.strictEqual(await gallery(page).count(), 1)
    }))

  it.effect("keeps the images that a run had finished before it ended without a result", () =>
    visiting(async (page) => {
      await prompt(page).fill("a pink heart")
      await number(page, "Sampling steps").fill("30")
      await number(page, "Batch count").fill("50")
      const id = await accepted(page, () => generate(page).click())
      const count = await page.evaluate(async (id) => {
        const image = await new Promise<MessageEvent>((resolve) =>
          new EventSource(`v1/runs/${id}/events`).addEventListener("image", resolve, { once: true })
        )
        const { status } = await (await fetch(`v1/runs/${id}`, { method: "DELETE" })).json()
        return [JSON.parse(image.data).image.index, status._tag]
      }, id)
      assert.deepStrictEqual(count[0], 0)
      await page.getByText("The run was cancelled.").first().waitFor()
      assert.isAtLeast(await gallery(page).count(), 1)
    }))

  it.effect("shows each image when it is made, over the last result, with progress in sight on a phone", () =>
    visiting(async (page) => {
      await generateImage(page, "a red circle")
      await number(page, "Sampling steps").fill("60")
      await number(page, "Batch count").fill("40")
      // While the queue is paused, the run waits over the result before it.
      const pause = (paused: boolean) =>
        page.evaluate(async (body) => {
          await fetch("v1/queue", { method: "PATCH", body, headers: { "content-type": "application/json" } })
        }, JSON.stringify({ paused }))
      await pause(true)
      await generate(page).click()
      await page.locator(".stage-images.old img").waitFor()
      await pause(false)
      const strip = page.locator(".strip")
      await strip.waitFor()
      assert.isTrue(await strip.evaluate((node) => node.getBoundingClientRect().bottom <= innerHeight))
      await page.locator(".stage-images:not(.old) .stage-image").nth(1).waitFor()
      for (const name of ["Image to image", "Inpaint"]) {
        await tab(page, name).click()
        assert.isTrue(await generate(page).evaluate((node) => node.getBoundingClientRect().bottom <= innerHeight))
      }
      await button(strip, "Stop").click()
      await strip.waitFor({ state: "hidden" })
      assert.isAtLeast(await page.locator(".stage-images:not(.old) .stage-image").count(), 2)
    }, { viewport: { width: 390, height: 780 } }))

  it.effect("finds its run again after a reload, and all that was typed", () =>
    visiting(async (page) => {
      await generateImage(page)
      await prompt(page).fill("a green ring on a pink background")
      await number(page, "Sampling steps").fill("120")
      await number(page, "Width").fill("256")
      await number(page, "Height").fill("256")
      await number(page, "CFG Scale").fill("4.5")
      await generate(page).click()
      await page.getByRole("progressbar").waitFor()
      await page.reload()
      assert.strictEqual(await prompt(page).inputValue(), "a green ring on a pink background")
      assert.strictEqual(await number(page, "CFG Scale").inputValue(), "4.5")
      await page.getByText(/^Step \d+ of 120$/).waitFor()
      assert.strictEqual(await gallery(page).count(), 1)
      await button(page, "Interrupt").click()
      await gallery(page).nth(1).waitFor()
    }))

  it.effect("takes decimals as they are typed, key by key, over what a field held", () =>
    visiting(async (page) => {
      const typed = async (name: string, text: string) => {
        await number(page, name).press("Control+a")
        await number(page, name).pressSequentially(text)
        assert.strictEqual(await number(page, name).inputValue(), text)
      }
      await prompt(page).pressSequentially("a pink heart")
      for (
        const [key, text] of [
          ["Control+ArrowUp", "a pink (heart:1.1)"],
          ["Control+ArrowUp", "a pink (heart:1.2)"],
          ["Control+ArrowDown", "a pink (heart:1.1)"],
          ["Control+ArrowDown", "a pink heart"],
          ["Control+ArrowDown", "a pink (heart:0.9)"],
          ["Control+z", "a pink heart"]
        ] as const
      ) {
        await page.keyboard.press(key)
        assert.strictEqual(await prompt(page).inputValue(), text)
      }
      await typed("CFG Scale", "0.05")
      await typed("CFG Scale", "7.50")
      await typed("Sampling steps", "3")
      await number(page, "Sampling steps").press("Home")
      await number(page, "Sampling steps").pressSequentially("1")
      const request = await submitted(page, () => page.keyboard.press("Control+Enter"))
      assert.deepInclude(request, { cfg_scale: 7.5, steps: 13 })
      await page.getByRole("slider", { name: "CFG Scale, slider" }).fill("4.5")
      assert.strictEqual(await number(page, "CFG Scale").inputValue(), "4.5")
    }))

  it.effect("says what is wrong next to the field, from the page and from the server", () =>
    visiting(async (page) => {
      await number(page, "CFG Scale").fill("")
      await generate(page).click()
      const empty = number(page, "CFG Scale")
      await problem(page, "Enter a number.").waitFor()
      assert.strictEqual(await empty.getAttribute("aria-invalid"), "true")
      assert.isTrue(await empty.evaluate((node) => node === document.activeElement))

      await empty.fill("7")
      assert.strictEqual(await problem(page, "Enter a number.").count(), 0)
      await number(page, "Sampling steps").fill("100000")
      await generate(page).click()
      await problem(page, "100000 is over the limit of 150.").waitFor()
      assert.strictEqual(await number(page, "Sampling steps").getAttribute("aria-invalid"), "true")

      await tab(page, "Image to image").click()
      await generate(page).click()
      await problem(page, "Choose an init image.").waitFor()
    }))

  it.effect("keeps all digits of a seed, from the form to the image and back", () =>
    visiting(async (page) => {
      const large = "6302954713490123530"
      await seed(page).fill("")
      await seed(page).pressSequentially("-1")
      // One side follows the other while their ratio is kept.
      await button(page, "192 × 128").click()
      await button(page, "Keep the ratio").click()
      await number(page, "Width").press("Control+a")
      await number(page, "Width").pressSequentially("96")
      assert.strictEqual(await number(page, "Height").inputValue(), "64")
      await button(page, "Keep the ratio").click()
      await seed(page).fill(large)
      const request = await submitted(page, () => generateImage(page, "a green star"))
      assert.strictEqual(request["seed"], large)
      await page.getByText(`seed ${large}`).first().waitFor()
      await button(page, "Use a random seed").click()
      assert.strictEqual(await seed(page).inputValue(), "-1")
      await page.reload()
      await button(page, "Use the last image's seed").click()
      assert.strictEqual(await seed(page).inputValue(), large)
    }))

  it.effect("takes a dropped image: to read it, to use its settings, to start from it", () =>
    visiting(async (page) => {
      await generateImage(page, "a white ring on a green background")
      const bytes = await latest(page)
      await prompt(page).fill("something else")
      await dropFile(page, bytes, "ring.png")
      await page.getByText("a white ring on a green background").first().waitFor()
      await button(page, "Use these settings").click()
      assert.strictEqual(await prompt(page).inputValue(), "a white ring on a green background")
      assert.strictEqual(await number(page, "Sampling steps").inputValue(), "2")
      assert.match(await seed(page).inputValue(), /^\d+$/)

      // An infotext that is pasted anywhere fills the form, too.
      await page.evaluate(() => {
        const clipboardData = new DataTransfer()
        clipboardData.setData(
          "text/plain",
          "ein grüner Kreis\nSteps: 3, Sampler: Euler, CFG scale: 4, Seed: 11, Size: 64x64"
        )
        document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))
      })
      await button(page, "Use its settings").click()
      await page.getByText("The form has the settings of this image.").waitFor()
      assert.deepStrictEqual(
        [await prompt(page).inputValue(), await seed(page).inputValue()],
        ["ein grüner Kreis", "11"]
      )
      // The message would lie over the image for a while.
      await page.getByRole("status").getByRole("button", { name: "Close this message" }).click()
      await tab(page, "Text to image").click()

      // A result is dragged from the gallery to an input.
      await opener(page, 0).hover()
      await page.mouse.down()
      await page.mouse.move(640, 300, { steps: 6 })
      await page.locator("[data-place=info]").hover()
      await page.mouse.up()
      await tab(page, "PNG info").and(page.locator("[aria-selected=true]")).waitFor()
      await tab(page, "Text to image").click()

      await dropFile(page, bytes, "ring.png", "img2img")
      await page.getByRole("img", { name: "Init image, ring.png" }).waitFor()
      const request = await submitted(page, () => generate(page).click())
      assert.strictEqual(request["_tag"], "Img2Img")
      const [sent] = Array.isArray(request["init_images"]) ? request["init_images"] : []
      assert.deepStrictEqual(Buffer.from(String(sent), "base64"), Buffer.from(bytes))
      await gallery(page).nth(1).waitFor()

      await dropFile(page, new TextEncoder().encode("no image"), "notes.txt", "img2img")
      await page.getByText("The browser cannot read notes.txt as an image.").waitFor()
    }))

  it.effect("loses nothing by one click: what is replaced, removed or filled in comes back by Undo", () =>
    visiting(async (page) => {
      const { keyboard } = page
      const undo = () => page.getByRole("status").getByRole("button", { name: "Undo" }).click()
      await generateImage(page, "a white ring on a green background")
      const bytes = await latest(page)
      await prompt(page).press("Control+a")
      await prompt(page).pressSequentially("my own words")
      await number(page, "Sampling steps").press("Control+a")
      await number(page, "Sampling steps").pressSequentially("7")
      await button(page, "Reuse settings").click()
      await page.getByText("The form has the settings of this image.").waitFor()
      assert.strictEqual(await prompt(page).inputValue(), "a white ring on a green background")
      // The prompt has its own history, which knows what the page has written.
      await keyboard.press("Control+z")
      assert.strictEqual(await prompt(page).inputValue(), "my own words")
      await undo()
      await page.waitForFunction(() => document.querySelector<HTMLInputElement>("#field-steps")?.value === "7")
      assert.strictEqual(await prompt(page).inputValue(), "my own words")

      // The mask on one tab outlives a picture that is sent to another, and a reload.
      await button(page, "Inpaint").click()
      const canvas = page.locator("canvas")
      await canvas.focus()
      await keyboard.down("Space")
      await keyboard.press("Shift+ArrowRight")
      await keyboard.up("Space")
      await button(page, "Invert the mask").click()
      // After a click on a tool, the keys are the brush's.
      await keyboard.press("Control+z")
      const mask = async () =>
        (await pixelsOf((await submitted(page, () => generate(page).click()))["mask"])).at(40, 32)
      assert.strictEqual(await mask(), 255)
      await dropFile(page, bytes, "ring.png", "img2img")
      await page.getByRole("img", { name: "Init image, ring.png" }).waitFor()
      await page.reload()
      await tab(page, "Inpaint").click()
      await canvas.waitFor()
      assert.strictEqual(await mask(), 255)
      await button(page, "Remove the init image").click()
      await canvas.waitFor({ state: "hidden" })
      await undo()
      await canvas.waitFor()
      await dropFile(page, bytes, "ring.png", "inpaint")
      await page.getByText("The image is replaced, without its mask.").waitFor()
      await undo()
      await page.getByRole("img", { name: /Image to inpaint, serena-/ }).waitFor()
      assert.strictEqual(await mask(), 255)

      // Each tab stays where it was scrolled to.
      await tab(page, "Text to image").click()
      await page.locator(".panel-scroll").evaluate((node) => node.scrollTo({ top: 90 }))
      await tab(page, "Settings").click()
      await tab(page, "Text to image").click()
      await page.waitForFunction(() => document.querySelector(".panel-scroll")?.scrollTop === 90)
    }))

  it.effect("says in megabytes and before it is sent that a file is too large, and that the browser is full", () =>
    visiting(async (page) => {
      await tab(page, "Image to image").click()
      await page.evaluate(() => {
        const transfer = new DataTransfer()
        transfer.items.add(new File([new Uint8Array(65 * 2 ** 20)], "huge.png", { type: "image/png" }))
        const input = document.querySelector<HTMLInputElement>("input[type=file]")
        if (input !== null) input.files = transfer.files
        input?.dispatchEvent(new Event("change", { bubbles: true }))
      })
      await page.getByText("huge.png has 65 MB. The server takes images of up to 64 MB.").waitFor()
      await button(page, "Close this message").click()
      await page.evaluate(() => {
        Storage.prototype.setItem = () => {
          throw new DOMException("", "QuotaExceededError")
        }
      })
      await prompt(page).pressSequentially("a pink heart")
      await page.getByRole("alert").getByText(/^The browser's storage for this page is full/).waitFor()
    }))

  it.effect("sends the mask as it was painted", () =>
    visiting(async (page) => {
      await generateImage(page)
      await button(page, "Inpaint").click()
      const canvas = page.locator("canvas")
      await canvas.waitFor()
      await generate(page).click()
      await problem(page, "Paint over the area to regenerate.").waitFor()

      const go = async (x: number, y: number) => {
        const box = await canvas.boundingBox()
        if (box !== null) await page.mouse.move(box.x + box.width * x, box.y + box.height * y, { steps: 4 })
      }
      await go(0.25, 0.25)
      await page.mouse.down()
      await go(0.25, 0.75)
      await page.mouse.up()
      const request = await submitted(page, () => generate(page).click())
      const mask = await pixelsOf(request["mask"])
      assert.deepStrictEqual([mask.width, mask.height], [64, 64])
      assert.deepStrictEqual(
        [[16, 16], [16, 32], [16, 48], [32, 32], [48, 16], [16, 60]].map(([x = 0, y = 0]) => mask.at(x, y)),
        [
          255,
          255,
          255,
          0,
          0,
          0
        ]
      )
      await gallery(page).nth(1).waitFor()

      // Erased, inverted and taken back.
      await button(page, "Erase").click()
      await go(0.25, 0.5)
      await page.mouse.down()
      await page.mouse.up()
      await button(page, "Invert the mask").click()
      const inverted = await pixelsOf((await submitted(page, () => generate(page).click()))["mask"])
      assert.deepStrictEqual([inverted.at(16, 18), inverted.at(16, 32), inverted.at(48, 32)], [0, 255, 255])
      await gallery(page).nth(2).waitFor()
      await button(page, "Undo").click()
      await button(page, "Undo").click()
      const back = await pixelsOf((await submitted(page, () => generate(page).click()))["mask"])
      assert.deepStrictEqual([back.at(16, 32), back.at(48, 32)], [255, 0])
      await gallery(page).nth(3).waitFor()
      await button(page, "Clear the mask").click()
      await generate(page).click()
      await problem(page, "Paint over the area to regenerate.").waitFor()

      // From a file of any size, and from a picture that grows to the right.
      const half = await sharp({ create: { width: 32, height: 32, channels: 3, background: "black" } })
        .composite([{
          input: { create: { width: 16, height: 32, channels: 3, background: "white" } },
          left: 16,
          top: 0
        }])
        .png().toBuffer()
      const [chooser] = await Promise.all([page.waitForEvent("filechooser"), button(page, "Mask from a file").click()])
      await chooser.setFiles({ name: "half.png", mimeType: "image/png", buffer: half })
      await button(page, "Clear the mask").and(page.locator(":enabled")).waitFor()
      const given = await pixelsOf((await submitted(page, () => generate(page).click()))["mask"])
      assert.deepStrictEqual([given.at(8, 32), given.at(56, 32)], [0, 255])
      await gallery(page).nth(4).waitFor()
      for (const name of ["Width", "Height"]) {
        await number(page, name).press("Control+a")
        await number(page, name).press("Delete")
      }
      await button(page, "Extend to the right").click()
      await page.getByText("The image is extended").waitFor()
      await button(page, "Zoom in").click()
      const wider = await submitted(page, () => generate(page).click())
      const grown = await pixelsOf(wider["mask"])
      assert.deepStrictEqual([grown.width, grown.height, grown.at(8, 32), grown.at(72, 32)], [80, 64, 0, 255])
      assert.notProperty(wider, "width")
      await page.getByText(/^80 × 64, seed/).waitFor()
    }))

  it.effect("sketches in colour on an init image, which a request has as it was painted", () =>
    visiting(async (page) => {
      const { keyboard, mouse } = page
      await tab(page, "Image to image").click()
      await prompt(page).fill("a ring")
      await number(page, "Sampling steps").fill("2")
      for (const name of ["Width", "Height"]) await number(page, name).fill("64")
      await button(page, "Sketch on a blank image").press("Enter")
      const canvas = page.locator("canvas")
      await canvas.waitFor()
      const go = async (x: number, y: number) => {
        const box = await canvas.boundingBox()
        if (box !== null) await mouse.move(box.x + box.width * x, box.y + box.height * y, { steps: 4 })
      }
      const drag = async (from: number, to: number, y: number) => {
        await go(from, y)
        await mouse.down()
        await go(to, y)
        await mouse.up()
      }
      const colours = async (...places: ReadonlyArray<readonly [number, number]>) => {
        const { init_images } = await submitted(page, () => generate(page).click())
        const [sent] = Array.isArray(init_images) ? init_images : []
        const { data, info } = await sharp(Buffer.from(String(sent), "base64")).removeAlpha().raw()
          .toBuffer({ resolveWithObject: true })
        return places.map(([x, y]) =>
          data.subarray(3 * (y * info.width + x), 3 * (y * info.width + x) + 3).toString("hex")
        )
      }
      const [red, blue, white] = ["d03030", "2060d0", "ffffff"]
      await drag(0.25, 0.75, 0.25)
      await page.getByLabel("Colour", { exact: true }).fill("#2060d0")
      await canvas.focus()
      await keyboard.press("]")
      await keyboard.down("Space")
      await keyboard.press("Shift+ArrowDown")
      await keyboard.up("Space")
      assert.deepStrictEqual(await colours([20, 16], [32, 16], [32, 36], [48, 36]), [red, red, blue, white])
      await gallery(page).first().waitFor()
      await canvas.focus()
      await keyboard.press("Control+z")
      assert.deepStrictEqual(await colours([32, 16], [32, 36]), [red, white])
      await canvas.focus()
      await keyboard.press("Control+Shift+Z")

      // A colour is taken from the image, and the eraser shows the image again.
      await keyboard.press("i")
      await go(0.5, 0.25)
      await mouse.down()
      await mouse.up()
      await page.waitForFunction(
        (color) => document.querySelector<HTMLInputElement>("input[type=color]")?.value === color,
        `#${red}`
      )
      await button(page, "Erase").click()
      await drag(0.45, 0.55, 0.25)
      const erased = [red, white, blue]
      assert.deepStrictEqual(await colours([20, 16], [32, 16], [32, 36]), erased)
      await gallery(page).nth(2).waitFor()
      await page.reload()
      await canvas.waitFor()
      assert.deepStrictEqual(await colours([20, 16], [32, 16], [32, 36]), erased)
      await gallery(page).nth(3).waitFor()
      await dropFile(page, await latest(page), "ring.png", "img2img")
      await page.getByText("The image is replaced, without its sketch.").waitFor()
      await page.getByRole("status").getByRole("button", { name: "Undo" }).click()
      assert.deepStrictEqual(await colours([20, 16], [32, 16], [32, 36]), erased)
      assert.deepStrictEqual(await serious(page), [])
      await button(page, "Clear the sketch").click()
      assert.deepStrictEqual(await colours([20, 16], [32, 36]), [white, white])
    }))

  it.effect("paints with the keyboard and with a finger", () =>
    visiting(async (page) => {
      await generateImage(page)
      await button(page, "Inpaint").click()
      const canvas = page.locator("canvas")
      await canvas.focus()
      await page.keyboard.down("Space")
      await page.keyboard.press("Shift+ArrowRight")
      await page.keyboard.up("Space")
      const keyed = await pixelsOf((await submitted(page, () => page.keyboard.press("Control+Enter")))["mask"])
      assert.deepStrictEqual([keyed.at(32, 32), keyed.at(40, 32), keyed.at(10, 32)], [255, 255, 0])
      await gallery(page).nth(1).waitFor()
      await canvas.focus()
      await page.keyboard.press("Control+z")

      const box = await canvas.boundingBox()
      if (box !== null) await page.touchscreen.tap(box.x + box.width / 4, box.y + box.height / 4)
      const tapped = await pixelsOf((await submitted(page, () => generate(page).click()))["mask"])
      assert.deepStrictEqual([tapped.at(16, 16), tapped.at(32, 32)], [255, 0])
      await gallery(page).nth(2).waitFor()
    }, { hasTouch: true }))

  it.effect("shows images large, by keyboard alone, and copies what made them", () =>
    visiting(async (page) => {
      await generateImage(page, "a red circle")
      await generateImage(page, "a blue square")
      await opener(page, 0).focus()
      await page.keyboard.press("Enter")
      const dialog = page.getByRole("dialog", { name: "Image viewer" })
      await dialog.getByText("1 of 2").waitFor()
      await page.keyboard.press("ArrowRight")
      await dialog.getByText("2 of 2").waitFor()
      assert.include(await dialog.locator("pre").innerText(), "a red circle")
      await button(dialog, "Copy").click()
      await page.getByText("Copied.").waitFor()
      assert.include(await page.evaluate(() => navigator.clipboard.readText()), "a red circle\nSteps: 2")
      await button(dialog, "Copy image").click()
      await page.getByText("Image copied.").waitFor()
      await page.keyboard.press("Escape")
      await dialog.waitFor({ state: "hidden" })

      await opener(page, 1).click()
      // Zoomed by keys and wheel, moved by the pointer, compared by a slider; the strip leads to any image.
      const image = dialog.locator(".zoomed > div")
      await page.keyboard.press("+")
      await page.waitForFunction(() =>
        /scale\(1\.5\)/.test(document.querySelector(".zoomed > div")?.getAttribute("style") ?? "")
      )
      await image.hover()
      await page.mouse.down()
      await page.mouse.move(300, 300)
      await page.mouse.up()
      assert.notMatch(await image.getAttribute("style") ?? "", /translate\(0px/)
      await page.keyboard.press("0")
      await button(dialog, "Image 1").click()
      await dialog.getByText("1 of 2").waitFor()
      await button(dialog, "Compare").click()
      const slider = dialog.getByRole("slider", { name: "How much of the first image is shown" })
      await slider.press("ArrowRight")
      assert.strictEqual(await slider.inputValue(), "51")
      await button(dialog, "Compare").click()
      await dialog.getByText("2 of 2").waitFor()
      assert.include(await dialog.locator(".facts").innerText(), "Euler")
      const varied = await submitted(page, () => button(dialog, "Variations").click())
      assert.deepInclude(varied, { prompt: "a red circle", subseed: -1, subseed_strength: 0.2, n_iter: 4 })
      await page.keyboard.press("Escape")
      await gallery(page).nth(5).waitFor()

      await opener(page, 5).click()
      await button(dialog, "Upscale").click()
      await page.getByRole("img", { name: /^Image to upscale/ }).waitFor()
      await button(page, "Upscale").click()
      await page.getByText(/, now 128 × 128$/).waitFor()
      await tab(page, "Text to image").click()

      await opener(page, 5).click()
      await button(dialog, "Reuse all settings").click()
      await page.getByText("The form has the settings of this image.").waitFor()
      assert.strictEqual(await prompt(page).inputValue(), "a red circle")
      const [first, second] = await Promise.all([
        page.evaluate(async () => (await (await fetch("v1/runs?limit=3")).json()).runs[2].status.images[0].seed),
        seed(page).inputValue()
      ])
      assert.strictEqual(String(first), second)
    }, { permissions: ["clipboard-read", "clipboard-write"] }))

  it.effect("can be used without a mouse, with the focus always seen", () =>
    visiting(async (page) => {
      await tab(page, "Text to image").focus()
      await page.keyboard.press("ArrowRight")
      assert.strictEqual(await tab(page, "Image to image").getAttribute("aria-selected"), "true")
      await page.keyboard.press("Home")
      const unseen: Array<string> = []
      for (let i = 0; i < 30; i++) {
        await page.keyboard.press("Tab")
        const seen = await page.evaluate(() => {
          const node = document.activeElement
          if (node === null || node === document.body) return "out of the page"
          const { boxShadow, outlineStyle } = getComputedStyle(node)
          return outlineStyle !== "none" || boxShadow !== "none" ? "" : node.outerHTML.slice(0, 120)
        })
        if (seen === "out of the page") break
        if (seen !== "") unseen.push(seen)
      }
      assert.deepStrictEqual(unseen, [])
      await prompt(page).focus()
      await page.keyboard.type("a pink heart on a cyan background")
      await number(page, "Sampling steps").fill("2")
      await page.keyboard.press("Control+Enter")
      await gallery(page).first().waitFor()
    }))

  it.effect("fits a narrow screen, and a wide one", () =>
    visiting(async (page) => {
      await generateImage(page)
      const overflows: Array<string> = []
      for (const width of [360, 390, 768, 1024, 1920]) {
        await page.setViewportSize({ width, height: 780 })
        for (const name of tabs) {
          await tab(page, name).click()
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
          if (over > 0) overflows.push(`${name} at ${width}: ${over}`)
        }
      }
      assert.deepStrictEqual(overflows, [])
    }))

  it.effect("keeps settings on the server, and says why one cannot be", () =>
    visiting(async (page) => {
      await tab(page, "Settings").click()
      const skip = number(page, "Clip skip")
      await skip.fill("2")
      await skip.blur()
      await page.getByText("Saved.", { exact: true }).waitFor()
      const read = () => page.evaluate(async () => (await (await fetch("v1/options")).json()).CLIP_stop_at_last_layers)
      assert.strictEqual(await read(), 2)
      await skip.fill("99")
      await skip.blur()
      await page.locator("#problem-CLIP_stop_at_last_layers").waitFor()
      assert.strictEqual(await read(), 2)
      await skip.fill("1")
      await skip.blur()
      await page.getByText("Saved.", { exact: true }).waitFor()
      assert.strictEqual(await read(), 1)
    }))

  for (const colorScheme of ["light", "dark"] as const) {
    it.effect(`has nothing that axe finds serious, in the ${colorScheme} theme`, () =>
      visiting(async (page) => {
        const found: Array<string> = []
        const check = async (where: string) => {
          found.push(...(await serious(page)).map((problem) => `${where}: ${problem}`))
        }
        await check("empty page")
        await generateImage(page)
        for (const details of await page.locator("details").all()) {
          await details.evaluate((node) => node.setAttribute("open", ""))
        }
        for (const name of tabs) {
          await tab(page, name).click()
          await check(name)
        }
        await tab(page, "Text to image").click()
        await number(page, "Sampling steps").fill("100000")
        await generate(page).click()
        await problem(page, "100000 is over the limit of 150.").waitFor()
        await check("an error")
        await opener(page, 0).click()
        await page.getByRole("dialog").waitFor()
        await check("large view")
        await page.keyboard.press("Escape")
        await page.getByRole("button", { name: "Inpaint" }).click()
        await page.locator("canvas").waitFor()
        await check("mask")
        await dropFile(page, await latest(page), "image.png", "info")
        await button(page, "Use these settings").waitFor()
        await check("an image's metadata")
        assert.deepStrictEqual(found, [])
      }, { colorScheme, reducedMotion: "reduce" }))
  }

  it.effect("follows the system's theme until another is chosen", () =>
    visiting(async (page) => {
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
      const dark = await ground()
      await button(page, "Use the light theme").click()
      const light = await ground()
      assert.notStrictEqual(light, dark)
      await page.reload()
      await button(page, "Use the dark theme").waitFor()
      assert.strictEqual(await ground(), light)
    }, { colorScheme: "dark" }))
})
