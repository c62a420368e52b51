import { assert, describe, it } from "@effect/vitest"
import { defaults, type Parameters, simulate } from "./cluster.ts"

const assertNear = (found: number, expected: number, share: number, what: string) =>
  assert.isAtMost(Math.abs(found - expected), share * expected, `${what}: ${found} and ${expected}`)

const common = { duration: 300, progressPerSecond: 1 }

/** Clusters of several sizes, with deaths every few minutes of a worker's life. */
const clusters: ReadonlyArray<Partial<Parameters>> = [
  { ...common, workers: 1, frontEnds: 1, deathEvery: 300 },
  { ...common, workers: 3, load: 0.9, deathEvery: 200 },
  { ...common, workers: 10, deathEvery: 100, notifies: false },
  { ...common, workers: 40, frontEnds: 3, deathEvery: 60, restartAfter: 5, workersHearEvents: true },
  { ...common, workers: 10, load: 1.3, deathEvery: Infinity }
]

describe("a simulated cluster", () => {
  it("loses no run and ends none twice, whatever dies", () => {
    for (const cluster of clusters) {
      for (const seed of [1, 2]) {
        const { deaths, ended, endedTwice, submitted } = simulate({ ...cluster, seed })
        assert.isAbove(submitted, 0)
        assert.deepStrictEqual({ ended, endedTwice }, { ended: submitted, endedTwice: 0 })
        if (cluster.deathEvery === 60) assert.isAbove(deaths, 50)
      }
    }
  })

  it("obeys Little's law: what is in the system is what comes in each second, times how long it stays", () => {
    for (const cluster of clusters) {
      const { answer, inDatabase, inSystem, sojourn, statements, submitted, time } = simulate(cluster)
      assertNear(inSystem, submitted / time * sojourn.mean, 1e-9, "runs")
      // Statements that were on their way at the end have no answer.
      const asked = Object.values(statements).reduce((sum, count) => sum + count, 0)
      assertNear(inDatabase, asked / time * answer.mean, 0.02, "statements")
    }
  })

  it("goes on with a dead worker's run within its lease and a beat", () => {
    let returned = 0
    for (const cluster of clusters.filter(({ deathEvery }) => deathEvery !== Infinity)) {
      for (const seed of [1, 2]) {
        const { answer, returned: spread } = simulate({ ...cluster, seed })
        // Two statements are on their way at the most: the last beat, and the one that finds it out.
        assert.isAtMost(spread.most, defaults.lease + defaults.beatEvery + 2 * answer.most)
        if (spread.most > 0) returned++
      }
    }
    assert.isAbove(returned, 4)
    const late = simulate({ workers: 10, deathEvery: 60, duration: 300, lease: 30, beatEvery: 5, progressPerSecond: 0 })
    assert.isAbove(late.returned.p50, 20)
    assert.isAtMost(late.returned.most, 35 + 2 * late.answer.most)
  })

  it("makes runs wait as queueing theory says: one worker, times that vary exponentially or not at all", () => {
    // Pollaczek and Khinchine: load * time * (1 + variation) / (2 * (1 - load)).
    const wait = (runSpread: number) =>
      simulate({
        workers: 1,
        load: 0.5,
        runTime: 1,
        runSpread,
        batches: 1,
        putTime: 0,
        progressPerSecond: 0,
        deathEvery: Infinity,
        beatEvery: 1000,
        reclaimEvery: 1000,
        lease: Infinity,
        duration: 40_000,
        seed: 7
      }).wait.mean
    assertNear(wait(0), 0.5, 0.06, "equal runs")
    // A logarithmic normal distribution of this spread varies as the exponential one does.
    assertNear(wait(Math.sqrt(Math.log(2))), 1, 0.1, "runs that vary")
  })

  it("costs the database what its statements and notifications take", () => {
    const quiet = { workers: 10, deathEvery: Infinity, duration: 600 }
    const { coreShare, statementsPerSecond } = simulate(quiet)
    const cost = Object.values(defaults.times).map(({ core }) => core / 1000)
    assert.isAbove(coreShare, statementsPerSecond * Math.min(...cost) * 0.9)
    const double = Object.fromEntries(
      Object.entries(defaults.times).map((
        [name, times]
      ) => [name, { ...times, core: 2 * times.core, p50: 2 * times.p50, p99: 2 * times.p99 }])
    )
    assertNear(
      simulate({ ...quiet, notification: 2 * defaults.notification, times: { ...defaults.times, ...double } })
        .coreShare,
      2 * coreShare,
      0.25,
      "twice the time"
    )
    // Who hears of all events pays for them.
    assert.isAbove(simulate({ ...quiet, workersHearEvents: true }).coreShare, coreShare)
  })

  it("takes runs from workers that live when the database is too slow for their beats", () => {
    const slow = Object.fromEntries(
      Object.entries(defaults.times).map(([name, { p99 }]) => [name, { core: 400, p50: 500, p99: 500 + p99 }])
    )
    const { ended, limit, submitted, takenFromLiving } = simulate({
      workers: 30,
      cores: 1,
      load: 0.2,
      duration: 60,
      deathEvery: Infinity,
      progressPerSecond: 0.1,
      times: { ...defaults.times, ...slow }
    })
    assert.isAbove(takenFromLiving, 0)
    assert.isAtMost(ended, submitted)
    assert.match(limit, /^database cores/)
  })

  it("is the same for the same seed, and names what is used up first", () => {
    const small = { workers: 5, duration: 200 }
    assert.deepStrictEqual(simulate(small), simulate(small))
    assert.notDeepEqual(simulate(small), simulate({ ...small, seed: 2 }))
    assert.match(simulate(small).limit, /^workers/)
    assert.match(simulate({ ...small, workers: 60 }).limit, /^connections/)
  })
})
