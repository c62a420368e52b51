// A client that reads some events and disconnects.
import { Effect } from "effect"
import { Runs } from "serena-runtime"
import { POST, runtime } from "./fetch.mts"

const runs = () => runtime.runPromise(Effect.flatMap(Runs, ({ list }) => Effect.map(list, ({ length }) => length)))

const body = JSON.stringify({ prompt: "a blue ring", steps: 150, n_iter: 50 })
const response = await POST(new Request("http://localhost/", { method: "POST", body }))
const reader = response.body?.getReader()
await reader?.read()
process.stdout.write(`runs: ${await runs()}\n`)
await reader?.cancel()
process.stdout.write(`runs: ${await runs()}\n`)
await runtime.dispose()
