import { assert, describe, it } from "@effect/vitest"
import type { Finding } from "../../src/cli/doctor/Finding.ts"
import { ofClock, ofMemory, ofNode, ofProcessors } from "../../src/cli/doctor/machine.ts"
import { processorQuota } from "../../src/core/controlGroups.ts"

const assertFinding = ({ advice = "", found, level }: Finding, expected: Finding["level"], ...words: Array<string>) => {
  const text = `${found}. ${advice}`
  assert.strictEqual(level, expected, text)
  for (const word of words) assert.include(text, word)
}

describe("what the doctor says", () => {
  it("of Node: whether the package asks for it", () => {
    for (const version of ["22.19.0", "22.20.1", "24.0.0"]) assertFinding(ofNode(version, ">=22.19"), "ok", version)
    for (const version of ["22.18.9", "20.19.0"]) {
      assertFinding(ofNode(version, ">=22.19"), "problem", version, "Node.js 22.19 or newer", "https://nodejs.org")
    }
  })

  it("of memory: how much there is, what sets the limit, and whether it is enough", () => {
    assertFinding(ofMemory({ bytes: 8e9, limit: "machine" }), "ok", "8.00 GB")
    assertFinding(ofMemory({ bytes: 1e9, limit: "container" }), "warning", "1.00 GB", "container", "Raise this limit")
    assertFinding(ofMemory({ bytes: 2e8, limit: "max-memory" }), "problem", "--max-memory")
    assertFinding(ofMemory({ bytes: 0, limit: "machine" }), "problem", "End other programs")
  })

  it("of processors: whether a container leaves each thread its own", () => {
    assertFinding(ofProcessors({ count: 8, quota: undefined, threads: 0 }), "ok", "8 processors")
    assertFinding(ofProcessors({ count: 8, quota: 16, threads: 8 }), "ok")
    assertFinding(ofProcessors({ count: 8, quota: 2.5, threads: 0 }), "warning", "the time of 2.5", "--threads 2")
    assertFinding(ofProcessors({ count: 8, quota: 0.5, threads: 0 }), "warning", "--threads 1")
    assertFinding(ofProcessors({ count: 8, quota: 2.5, threads: 2 }), "ok")
    assertFinding(ofProcessors({ count: 8, quota: 2, threads: 4 }), "warning", "--threads 4", "Use 2")
    assertFinding(ofProcessors({ count: 1, quota: undefined, threads: 4 }), "warning", "1 processor", "Use 1")
  })

  it("of the clock: whether its year is sane, and whether it is the database's", () => {
    const now = Date.UTC(2026, 5, 1)
    assertFinding(ofClock(now), "ok", "2026-06-01T00:00:00.000Z")
    assertFinding(ofClock(now, now + 400), "ok", "0.4 s behind")
    assertFinding(ofClock(now, now - 5000), "warning", "5.0 s ahead of", "time server")
    assertFinding(ofClock(now, now + 90_000), "problem", "90.0 s behind")
    for (const year of [1970, 2199]) assertFinding(ofClock(Date.UTC(year, 5, 1)), "problem", "The year is wrong")
  })
})

describe("the processors that control groups leave", () => {
  const quota = (files: Readonly<Record<string, string>>) => processorQuota((path) => files[path])

  it("are the least of a group and those above it, in both versions", () => {
    const group = "/sys/fs/cgroup/system.slice/serena.service"
    assert.strictEqual(
      quota({
        "/proc/self/cgroup": "0::/system.slice/serena.service\n",
        [`${group}/cpu.max`]: "max 100000\n",
        "/sys/fs/cgroup/system.slice/cpu.max": "150000 100000\n",
        "/sys/fs/cgroup/cpu.max": "400000 100000\n"
      }),
      1.5
    )
    const first = "/sys/fs/cgroup/cpu,cpuacct/docker/a1"
    assert.strictEqual(
      quota({
        "/proc/self/cgroup": "4:memory:/docker/a1\n3:cpu,cpuacct:/docker/a1\n",
        [`${first}/cpu.cfs_quota_us`]: "50000\n",
        [`${first}/cpu.cfs_period_us`]: "100000\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n"
      }),
      0.5
    )
  })

  it("are all of them without a limit, and where there are no groups", () => {
    assert.isUndefined(quota({}))
    assert.isUndefined(quota({ "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n" }))
  })
})
