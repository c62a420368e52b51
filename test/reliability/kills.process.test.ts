import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import * as Serena from "../../src/Serena.ts"
import { start, temporaryFolder } from "../cli/process.ts"
import { faults } from "./faults.ts"
import { type Answers, assertAll, assertLogs, assertWhole, type Client, clientOf, smallRuns } from "./smallRuns.ts"
import { numbers, trying } from "./trying.ts"

const { kills } = faults["Kept runs"]

describe("runs that are kept", () => {
  trying({ ...kills, times: 1 }, () =>
    Effect.gen(function*() {
      const data = yield* temporaryFolder
      const runs = yield* smallRuns(40)
      const random = numbers(2024)
      const answers: Answers = new Map()
      const submit = Effect.fnUntraced(function*(client: Client, count: number) {
        const open = runs.filter(({ key }) => !answers.has(key)).slice(0, count)
        // One that was answered before is asked for once more.
        const known = runs[random(runs.length)]
        for (const run of [...open, ...(known !== undefined && answers.has(known.key) ? [known] : [])]) {
          const id = yield* client.submit(run)
          answers.set(run.key, new Set([...answers.get(run.key) ?? [], id]))
        }
      })
      const serve = start(["serve", "--port", "0", "--queue", "100", "--max-attempts", "1000", "--threads", "1"], {
        env: { SERENA_DATA_DIR: data }
      })
      const opened = Effect.fnUntraced(function*() {
        const server = yield* serve
        return { ...server, client: clientOf(yield* server.printed(/http:\S+/)) }
      })

      // What one process compiles, the next ones need not, if it ends by itself.
      yield* Effect.scoped(Effect.flatMap(opened(), ({ end, send }) => Effect.andThen(send("SIGTERM"), end)))
      for (let time = 0; time < kills.times; time++) {
        yield* Effect.scoped(Effect.gen(function*() {
          if (time % 3 === 2) {
            // Before it listens, most times.
            const server = yield* serve
            yield* Effect.sleep(random(1200))
            yield* server.send("SIGKILL")
            assert.strictEqual((yield* server.end).code, 137)
            return
          }
          const { client, end, send } = yield* opened()
          const { made, open } = yield* client.standing
          const submitting = yield* Effect.forkChild(Effect.exit(submit(client, time === 0 ? 5 : random(3))))
          // Some servers make something first.
          if (time % 4 === 0 && open > 0) {
            yield* Effect.repeat(client.standing, {
              until: (now) => now.made > made || now.open === 0,
              schedule: Schedule.spaced(100)
            })
          }
          yield* Effect.sleep(random(300))
          yield* send("SIGKILL")
          assert.strictEqual((yield* end).code, 137)
          yield* Fiber.join(submitting)
        }))
      }

      const server = yield* opened()
      yield* submit(server.client, runs.length)
      yield* Effect.repeat(server.client.open, { until: (open) => open === 0, schedule: Schedule.spaced(100) })
      yield* Effect.provide(assertAll(server.client, runs, answers), Serena.layer())
      yield* server.send("SIGTERM")
      assert.strictEqual((yield* server.end).code, 0)
      yield* assertWhole(`${data}/blobs`)
      const stores = Layer.mergeAll(
        SqlRunStore.layerSqlite({ file: `${data}/runs.sqlite` }),
        FolderBlobStore.layer({ folder: `${data}/blobs` })
      )
      const kept = yield* Effect.provide(assertLogs, stores)
      // The kills were felt.
      assert.isAbove(kept.reduce((sum, { attempt }) => sum + attempt - 1, 0), 2)
    }).pipe(Effect.provide(NodeServices.layer)))
})
