import { describe } from "@effect/vitest"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as MemoryBlobStore from "../../src/runs/MemoryBlobStore.ts"
import { blobContract } from "./blobContract.ts"

describe("a store of files in memory", () => {
  blobContract(MemoryBlobStore.layer.pipe(Layer.provideMerge(TestClock.layer())), TestClock.adjust("2 hours"), false)
})
