import { describe } from "@effect/vitest"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as MemoryRunStore from "../../src/runs/MemoryRunStore.ts"
import { storeContract } from "./storeContract.ts"

describe("runs in memory", () => {
  storeContract(Layer.fresh(MemoryRunStore.layer), { live: false, pass: (time) => TestClock.adjust(time) })
})
