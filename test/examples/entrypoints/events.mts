// events.mts
import { POST, runtime } from "./fetch.mts"

const request = (processing: object) =>
  new Request("http://localhost/", { method: "POST", body: JSON.stringify(processing) })

const good = await POST(request({ prompt: "a blue ring", steps: 8 }))
const events = (await good.text()).trim().split("\n\n")
process.stdout.write(`progress: ${events.filter((event) => event.startsWith("event: progress")).length > 1}\n`)
process.stdout.write(`${events.at(-1)?.slice(0, 38)}\n`)

const bad = await POST(request({ prompt: "a blue ring", steps: 0 }))
process.stdout.write(await bad.text())
await runtime.dispose()
