/**
 * `serena mcp` and `/mcp` of `serena serve` as processes, with the embedded model and the official client.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Client, StreamableHTTPClientTransport, type Transport } from "@modelcontextprotocol/client"
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import sharp from "sharp"
import { withServer } from "../bench/server/serverProcess.ts"
import { pages } from "../docs/pages.ts"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "serena-mcp-"))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** The arguments after `npx serena` in the lines that the page has for desktop clients. */
const configured = (): ReadonlyArray<string> => {
  const page = pages().find(({ path }) => path === "docs/how-to/mcp.md")
  const [lines] = page?.blocks.filter(({ text }) => text.startsWith("{\n  \"mcpServers\"")) ?? []
  const { args, command } = JSON.parse(lines?.text ?? "").mcpServers.serena
  const [name, ...rest] = args
  assert.deepStrictEqual([command, name], ["npx", "serena"])
  return rest
}

const circle = { prompt: "a red circle on a blue background", steps: 8, seed: 1, width: 128, height: 128 }

const connected = async <A>(transport: Transport, use: (client: Client) => Promise<A>): Promise<A> => {
  const faults: Array<Error> = []
  const client = Object.assign(new Client({ name: "test", version: "1" }), {
    onerror: (error: Error) => faults.push(error)
  })
  await client.connect(transport)
  const result = await use(client)
  await client.close()
  // Such as a line of standard output that is no message.
  assert.deepStrictEqual(faults, [])
  return result
}

type Result = Awaited<ReturnType<Client["callTool"]>>

const first = ({ content, isError, structuredContent }: Result) => {
  assert.isNotTrue(isError, JSON.stringify(content))
  const image = content.find((block) => block.type === "image")
  assert.isDefined(image)
  return { ...Object(structuredContent), type: image.mimeType, file: Buffer.from(image.data, "base64") }
}

const generated = async (client: Client) => {
  const seen: Array<number> = []
  const given = { name: "generate", arguments: circle }
  const result = await client.callTool(given, { onprogress: ({ progress }) => seen.push(progress) })
  assert.isAbove(seen.length, 0)
  return first(result)
}

describe("a client of the Model Context Protocol", () => {
  it("gets the same image from the command as from the server", async () => {
    const byCommand = await connected(
      new StdioClientTransport({
        command: process.execPath,
        args: [main, ...configured(), "--data-dir", join(folder, "data")],
        cwd: folder,
        stderr: "ignore"
      }),
      async (client) => {
        const made = await generated(client)
        // Saved where this process may write, wherever its client has started it.
        const [{ path, uri }] = made.images
        assert.isTrue(path.startsWith(join(folder, "data", "outputs")), path)
        assert.deepStrictEqual(await readFile(path), made.file)
        // A path stands for its file, and an image that is too large for clients comes smaller.
        const noise = join(folder, "noise.png")
        const raw = { width: 640, height: 640, channels: 3 } as const
        const data = Uint8Array.from({ length: 640 * 640 * 3 }, (_, i) => Math.imul(i, 2_654_435_761) >>> 24)
        await writeFile(noise, await sharp(data, { raw }).png({ compressionLevel: 0 }).toBuffer())
        const large = await client.callTool({ name: "upscale", arguments: { image: noise, factor: 1.5 } })
        const { file, height, type } = first(large)
        assert.deepInclude({ height, type }, { height: 960, type: "image/jpeg" })
        assert.isAtMost(file.length, 700_000)
        const painted = await client.callTool({ name: "edit", arguments: { ...circle, image: uri } })
        assert.lengthOf(first(painted).images, 1)
        return made.file
      }
    )
    await withServer(["--api-keys", "sk-for-this-test"], async ({ url }) => {
      const requestInit = { headers: { authorization: "Bearer sk-for-this-test" } }
      const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit })
      const { file } = await connected(transport, generated)
      assert.isTrue(file.equals(byCommand))
    }, folder)
  })

  it("may write all that it asks, and close: every line of standard output is an answer", async () => {
    const child = spawn(process.execPath, [main, "mcp", "--data-dir", join(folder, "piped")], {
      cwd: folder,
      stdio: ["pipe", "pipe", "ignore"]
    })
    const clientInfo = { name: "test", version: "1" }
    const messages = [
      { id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo } },
      { method: "notifications/initialized" },
      { id: 2, method: "tools/call", params: { name: "generate", arguments: circle } },
      { id: 3, method: "tools/call", params: { name: "edit", arguments: { image: "/no/such/file.png" } } }
    ]
    child.stdin.end(messages.map((message) => JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n").join(""))
    let text = ""
    child.stdout.setEncoding("utf8").on("data", (more: string) => text += more)
    const [code] = await once(child, "close")
    assert.strictEqual(code, 0)
    const answers = text.trimEnd().split("\n").map((line): Record<string, unknown> => JSON.parse(line))
    assert.sameMembers(answers.map(({ id }) => id), [1, 2, 3])
    assert.include(JSON.stringify(answers.find(({ id }) => id === 3)), "there is no file /no/such/file.png")
  })
})
