/**
 * A crowd at the server, for a few seconds: nobody is lost, nobody is overtaken, and whoever is told to come back does
 * so with success. `npm run bench:server` does the same for longer, and measures.
 */
import { assert, describe, it } from "@effect/vitest"
import { crowd } from "../bench/server/crowd.ts"
import { readers } from "../bench/server/readers.ts"

describe("200 clients at once", () => {
  it("are answered first come, first served, where the queue has room", async () => {
    const { answered, fewest, overtaken, refused, wrong } = await crowd({
      clients: 200,
      seconds: 4,
      queue: 200,
      settled: 200
    })
    assert.deepStrictEqual(wrong, [])
    assert.strictEqual(refused, 0)
    assert.isAtLeast(fewest, 1)
    assert.isAtLeast(answered, 200)
    // Connections that are made together may be read in another order, but hardly are.
    assert.isAtMost(overtaken, 3)
  })

  it("are told when to come back, where it has not, and all have their image in the end", async () => {
    const { after, before, fewest, longestRetry, p99, refused, wrong } = await crowd({
      clients: 200,
      seconds: 4,
      settled: 200,
      warmUps: 10
    })
    assert.deepStrictEqual(wrong, [])
    assert.isAbove(refused, 0)
    assert.isAtLeast(fewest, 1)
    // They are told to come back when the queue of now has ended, which is as long as others wait in it.
    assert.isAtMost(longestRetry, 10 + 4 * p99 / 1000)
    // A leak of what requests carry would be far more.
    assert.isBelow(after, before + 300)
  })
})

describe("1000 readers of ten runs", () => {
  it("all see the images and the end, and cost the server little memory", async () => {
    const { delay, ended, images, memory } = await readers({ readers: 1000, runs: 10 })
    assert.strictEqual(ended, 1000)
    assert.deepStrictEqual(images, [2])
    // `npm run bench:cluster` prints what it is on a machine that does nothing else.
    assert.isBelow(delay.longest, 60_000)
    assert.isBelow(memory.most - memory.before, 500)
  })
})
