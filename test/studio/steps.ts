/**
 * What a person does on the page, in the words of its labels.
 */
import type { Locator, Page } from "playwright-core"

export const prompt = (page: Page): Locator => page.getByRole("textbox", { name: "Prompt", exact: true })
export const seed = (page: Page): Locator => page.getByRole("textbox", { name: "Seed", exact: true })
export const number = (page: Page, name: string): Locator => page.getByRole("spinbutton", { name, exact: true })
export const button = (page: Page | Locator, name: string | RegExp): Locator =>
  page.getByRole("button", { name, exact: typeof name === "string" })
export const tab = (page: Page, name: string): Locator => page.getByRole("tab", { name })
export const gallery = (page: Page): Locator => page.getByRole("region", { name: "Images" }).getByRole("listitem")
/** What opens an image of the gallery, by its place from 0. */
export const opener = (page: Page, place: number): Locator => gallery(page).nth(place).locator("button.open")
/** A sentence that stands beside a field. */
export const problem = (page: Page, sentence: string): Locator => page.locator("[data-problem]").getByText(sentence)
export const generate = (page: Page): Locator => button(page, /^Generate/)

/** Generates one small image and waits for it. */
export const generateImage = async (page: Page, words = "a red circle on a blue background") => {
  await prompt(page).fill(words)
  await number(page, "Sampling steps").fill("2")
  await number(page, "Width").fill("64")
  await number(page, "Height").fill("64")
  const run = await accepted(page, () => generate(page).click())
  await gallery(page).locator(`[data-key^="${run}/"]`).first().waitFor()
}

/** What the next submitted request says. */
export const submitted = async (page: Page, act: () => Promise<void>): Promise<Readonly<Record<string, unknown>>> => {
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/v1/runs")),
    act()
  ])
  return request.postDataJSON()
}

/** The id of the next submitted run, when the server has accepted it. */
export const accepted = async (page: Page, act: () => Promise<void>): Promise<string> => {
  const [response] = await Promise.all([
    page.waitForResponse((response) => response.request().method() === "POST" && response.url().endsWith("/v1/runs")),
    act()
  ])
  return (await response.json()).id
}

/** Drops a file on the page, on `target` or anywhere. */
export const dropFile = async (page: Page, bytes: Uint8Array, name: string, target?: string) => {
  await page.evaluate(({ data, name, target }) => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([new Uint8Array(data)], name, { type: "image/png" }))
    const event = (kind: string) => new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true })
    document.body.dispatchEvent(event("dragenter"))
    return new Promise<void>((resolve) => {
      requestAnimationFrame(() => {
        const place = target === undefined ? document.body : document.querySelector(`[data-place=${target}]`)
        place?.dispatchEvent(event("dragover"))
        place?.dispatchEvent(event("drop"))
        resolve()
      })
    })
  }, { data: [...bytes], name, target })
}
