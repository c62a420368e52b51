import { assert, describe, it } from "@effect/vitest"
import { compared } from "../bench/report.ts"
import { checked } from "./performance.ts"

describe("the page about performance", () => {
  const missed = compared("a step", "s", [3, 3], "another", [2, 2], { target: 1.2 })
  const met = compared("a step", "s", [2, 2], "a third", [2, 2], { target: 1.2 })

  it("says of every target that is missed why", () => {
    assert.throws(() => checked({ bench: "steps", rows: [met, missed] }, []), "a step / another")
    checked({ bench: "steps", rows: [met, missed] }, [{ rows: ["a step / another"], why: "it is slow." }])
  })

  it("says so of no other", () => {
    const words = [{ rows: ["a step / a third"], why: "it is slow." }]
    assert.throws(() => checked({ bench: "steps", rows: [met] }, words), "a step / a third")
  })
})
