/**
 * The studio's gallery and queue: the history of the server, in a real browser.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Page } from "playwright-core"
import type { QueueStatus, Run, RunList } from "../../src/contract/Run.ts"
import { start } from "../cli/process.ts"
import { freePort } from "../server/sockets.ts"
import { button, gallery, generate, generateImage, number, opener, prompt } from "./steps.ts"
import { isReady, Studio } from "./Studio.ts"

const visiting = (act: (page: Page) => Promise<void>) =>
  Effect.gen(function*() {
    const { complaints, page } = yield* (yield* Studio).visit()
    yield* Effect.promise(() => act(page))
    assert.deepStrictEqual(complaints, [])
  })

/** Another tab of the same browser. */
const secondTab = async (page: Page) => {
  const other = await page.context().newPage()
  await other.goto(page.url())
  await isReady(other)
  return other
}

const runsOf = async (page: Page): Promise<ReadonlyArray<Run>> => {
  const { runs }: RunList = await (await page.request.get(new URL("v1/runs", page.url()).href)).json()
  return runs
}

/** Waits until the gallery has so many images. */
const shows = async (page: Page, count: number) => {
  await page.waitForFunction((count) => document.querySelectorAll(".thumb").length === count, count)
}

/** Generates a run that goes on until it is ended. */
const generateLong = async (page: Page, words: string) => {
  await prompt(page).fill(words)
  await number(page, "Sampling steps").fill("150")
  await number(page, "Batch count").fill("50")
  await generate(page).click()
}

const waitingOf = (page: Page) =>
  page.getByRole("list", { name: "Other runs" }).getByRole("listitem").locator(".prompt")

/** Adds so many runs like the newest, each a minute older than the last, to the database of a server that is down. */
const multiply = (database: string, count: number) => {
  const db = new DatabaseSync(database)
  db.exec(`
    create temporary table kind as select * from runs where state = 'done' order by number desc limit 1;
    with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < ${count})
    insert into runs select null, 'copy-' || n, format, null, null, client, model, needs, bound, priority, place, state,
      submitted_at - 60000 * n, started_at, ended_at, worker, starred, tags, words, bytes, last_event,
      json_set(record, '$.id', 'copy-' || n, '$.submittedAt', submitted_at - 60000 * n)
      from kind, numbers;
    insert into run_blobs select hash, 'copy-1' from run_blobs where run_id = (select id from kind);
  `)
  db.close()
}

layer(Studio.layer, { excludeTestServices: true, timeout: "5 minutes" })("the studio's history", (it) => {
  it.effect("is the same in two tabs, with stars, tags and a search, by keys alone", () =>
    visiting(async (page) => {
      await generateImage(page, "a red circle")
      const other = await secondTab(page)
      await shows(other, 1)
      await generateImage(other, "a blue square")
      await shows(page, 2)
      // Neither has taken anything from the other, and both find all of it after a reload.
      await page.reload()
      await other.reload()
      await shows(page, 2)
      await shows(other, 2)

      await opener(page, 0).focus()
      await page.keyboard.press("ArrowRight")
      await page.keyboard.press("s")
      await gallery(page).nth(1).locator(".star[aria-pressed=true]").waitFor()
      await page.keyboard.press("f")
      const dialog = page.getByRole("dialog", { name: "Image viewer" })
      await dialog.getByRole("combobox", { name: "New tag" }).fill("round")
      await page.keyboard.press("Enter")
      await button(dialog, "Remove the tag round").waitFor()
      await page.keyboard.press("Escape")
      await dialog.waitFor({ state: "hidden" })
      assert.deepStrictEqual(
        (await runsOf(page)).map(({ request, starred, tags }) => [request.prompt, starred, tags]),
        [["a blue square", false, []], ["a red circle", true, ["round"]]]
      )

      await other.reload()
      await button(other, "Starred").click()
      await shows(other, 1)
      await button(other, "Starred").click()
      await shows(other, 2)
      await other.getByRole("searchbox", { name: "Search prompts" }).pressSequentially("blue")
      await shows(other, 1)
      await other.getByRole("img", { name: "a blue square" }).last().waitFor()
      await button(other, "Filter").click()
      await other.getByRole("combobox", { name: "Tag" }).fill("round")
      await other.keyboard.press("Enter")
      await other.getByText("No image fits.").waitFor()
      await button(other, "Show all").click()
      await shows(other, 2)
      await other.getByRole("combobox", { name: "Tag" }).fill("round")
      await other.keyboard.press("Enter")
      await shows(other, 1)
    }))

  it.effect("loses a run only after the offer to undo that is gone, also when the page is left", () =>
    visiting(async (page) => {
      await generateImage(page, "a red circle")
      await generateImage(page, "a blue square")
      await opener(page, 0).focus()
      await page.keyboard.press("Delete")
      await page.getByText("The image is removed.").waitFor()
      await shows(page, 1)
      assert.lengthOf(await runsOf(page), 2)
      await button(page, "Undo").press("Enter")
      await shows(page, 2)
      // Small copies are what the gallery loads.
      assert.deepStrictEqual(
        await page.locator(".thumb img").evaluateAll((all) =>
          all.map((node) => node.getAttribute("src")?.endsWith("/thumbnail"))
        ),
        [true, true]
      )

      // Several at once: selected by keys and by clicks, packed, tagged, starred, removed and brought back.
      await opener(page, 0).focus()
      await page.keyboard.press("x")
      await page.keyboard.press("Shift+ArrowRight")
      await opener(page, 1).click({ modifiers: ["Shift"] })
      const selection = page.getByRole("toolbar", { name: "Selection" })
      await selection.getByText("2 selected").waitFor()
      const [zip] = await Promise.all([page.waitForEvent("download"), button(selection, "Download as zip").click()])
      assert.match(zip.suggestedFilename(), /^serena-.*\.zip$/)
      const packed = await readFile(await zip.path())
      assert.lengthOf(packed.toString("latin1").split("PK\u0001\u0002"), 3)
      await selection.getByRole("combobox", { name: "Tag for all" }).pressSequentially("pair")
      await page.keyboard.press("Enter")
      await button(selection, "Star all").click()
      await page.waitForFunction(async () =>
        (await (await fetch("v1/runs")).json()).runs.every((run: Run) => run.starred && run.tags.includes("pair"))
      )
      await opener(page, 0).focus()
      await page.keyboard.press("Delete")
      await page.getByText("2 images are removed.").waitFor()
      await button(page, "Undo").click()
      await shows(page, 2)

      await opener(page, 1).press("Delete")
      await shows(page, 1)
      await button(page, "Close this message").click()
      await page.waitForFunction(async () => (await (await fetch("v1/runs")).json()).runs.length === 1)
      await opener(page, 0).press("Delete")
      const other = await secondTab(page)
      await page.goto("about:blank")
      await other.waitForFunction(async () => (await (await fetch("v1/runs")).json()).runs.length === 0)
    }))

  it.effect("includes the queue, which is paused, sorted and emptied by anyone", () =>
    visiting(async (page) => {
      await generateLong(page, "a red circle")
      const other = await secondTab(page)
      const queue = other.getByRole("region", { name: "Queue" })
      await queue.getByText("a red circle").or(waitingOf(other)).first().waitFor()
      await generateLong(page, "a blue square")
      await generateLong(page, "a green ring")
      await button(other, `Move "a green ring" up`).click()
      await other.waitForFunction(() =>
        [...document.querySelectorAll(".waiting .prompt")].at(-1)?.textContent === "a blue square"
      )
      await button(page, "Pause").click()
      await queue.getByText(/Paused, 1 running, 2 waiting/).waitFor()
      await button(page, `Cancel "a green ring"`).click()
      await queue.getByText(/Paused, 1 running, 1 waiting/).waitFor()
      await button(queue, "Cancel all").click()
      await queue.getByText(/Paused, 0 waiting/).waitFor()
      await generateLong(page, "a yellow star")
      await page.getByRole("region", { name: "Current run" }).getByText("The queue is paused").waitFor()
      await button(other, "Resume").click()
      await page.getByText(/^Step \d+ of 150$/).waitFor()
      await button(queue, "Cancel all").click()
      await queue.waitFor({ state: "hidden" })
      const status: QueueStatus = await (await page.request.get(new URL("v1/queue", page.url()).href)).json()
      assert.deepInclude(status, { paused: false, queued: 0, running: 0 })
    }))

  it.effect("outlives the server, and is scrolled through with 10,000 runs", () =>
    Effect.gen(function*() {
      const { visit } = yield* Studio
      const data = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "serena-history-"))),
        (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
      )
      const port = yield* freePort
      const serving = start(["serve", "--port", String(port), "--data-dir", data])
      const first = yield* serving
      yield* first.printed(/listens on/)
      const { complaints, page } = yield* visit({}, `http://127.0.0.1:${port}/`)
      yield* Effect.promise(async () => {
        await generateImage(page, "a red circle")
        await generateLong(page, "a blue square")
        // A queue that is paused sooner does not begin it.
        await page.getByText(/^Step \d+ of 150$/).waitFor()
        await button(page, "Pause").click()
        await page.getByText(/Paused, 1 running/).waitFor()
      })
      // A server that hangs is noticed as well, and when it goes on again.
      const away = page.getByText("The server does not answer. The page tries again by itself.")
      yield* first.send("SIGSTOP")
      yield* Effect.promise(() => away.waitFor())
      yield* first.send("SIGCONT")
      yield* Effect.promise(() => away.waitFor({ state: "hidden" }))
      yield* first.send("SIGKILL")
      yield* first.end
      yield* Effect.promise(() => page.getByText("The server does not answer.").first().waitFor())
      // What is refused is said where it is seen, and stays there.
      yield* Effect.promise(async () => {
        await generate(page).click()
        const message = page.getByRole("alert").getByText(/The server does not answer/)
        await message.waitFor()
        assert.isTrue(
          await message.evaluate((node) => {
            const { bottom, top } = node.getBoundingClientRect()
            return top >= 0 && bottom <= innerHeight
          })
        )
      })
      yield* Effect.sync(() => multiply(join(data, "runs.sqlite"), 10_000))
      const second = yield* serving
      yield* second.printed(/listens on/)
      yield* Effect.promise(async () => {
        const queue = page.getByRole("region", { name: "Queue" })
        await queue.getByText(/Paused, 1 waiting/).waitFor()
        await button(queue, "Cancel all").click()
        await queue.getByText(/Paused, 0 waiting/).waitFor()
        await page.reload()
        await page.getByRole("img", { name: "a red circle" }).last().waitFor()
        await opener(page, 0).focus()
        // The end of what is loaded is reached again and again, and only what is in sight is in the document.
        const most = await page.evaluate(() =>
          new Promise<number>((resolve) => {
            let most = 0
            let rounds = 0
            new MutationObserver((_, observer) => {
              most = Math.max(most, document.querySelectorAll(".thumb").length)
              if (++rounds < 12) return scrollTo({ top: document.documentElement.scrollHeight })
              observer.disconnect()
              resolve(most)
            }).observe(document.querySelector(".gallery") ?? document.body, {
              childList: true,
              subtree: true,
              attributes: true
            })
            scrollTo({ top: document.documentElement.scrollHeight })
          })
        )
        assert.isBelow(most, 200)
        await page.keyboard.press("End")
        await page.waitForFunction(() =>
          Number(/copy-(\d+)/.exec(document.activeElement?.getAttribute("data-key") ?? "")?.[1]) > 100
        )
      })
      assert.deepStrictEqual(complaints, [])
    }).pipe(Effect.scoped))
})
