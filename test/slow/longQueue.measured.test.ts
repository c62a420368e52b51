import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { measureAll } from "../bench/runs.ts"

// The figures of `npm run bench:runs` are a tenth of these bounds on a machine that does nothing else.
describe("a queue of 3000 runs", () => {
  it.live("takes, accepts and shows runs as a short one does", () =>
    Effect.gen(function*() {
      const figures = yield* measureAll(3000, 60)
      for (const { call, p50, queued, store } of figures) {
        const name = `${store}: ${call} with ${queued} queued, p50 ${p50} ms`
        assert.isBelow(p50, 100, name)
        const short = figures.find((other) => other.store === store && other.call === call)
        if (call !== "counts" && call !== "ahead") assert.isBelow(p50, 5 * (short?.p50 ?? 0) + 20, name)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
