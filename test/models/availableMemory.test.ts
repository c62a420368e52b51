import { assert, describe, it } from "@effect/vitest"
import { available, availableIn } from "../../src/models/availableMemory.ts"

const GiB = 2 ** 30

/** What a machine with 8 GiB free says of a process of 1 GiB, with these files. */
const found = (files: Readonly<Record<string, string>>, most?: number) =>
  availableIn({
    read: (path) => ({ "/proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n", ...files })[path],
    resident: GiB,
    free: 0
  }, most)

describe("the available memory", () => {
  it("is what the machine has free", () => {
    assert.deepStrictEqual(found({}), { bytes: 8 * GiB, limit: "machine" })
    assert.deepStrictEqual(
      availableIn({ read: () => undefined, resident: GiB, free: 3 * GiB }, undefined),
      { bytes: 3 * GiB, limit: "machine" }
    )
  })

  it("is what --max-memory leaves", () => {
    assert.deepStrictEqual(found({}, 3 * GiB), { bytes: 2 * GiB, limit: "max-memory" })
    assert.deepStrictEqual(found({}, GiB / 2), { bytes: 0, limit: "max-memory" })
    assert.strictEqual(found({}, 100 * GiB).limit, "machine")
  })

  it("counts what the process holds of its own towards --max-memory, not the weights that it maps", () => {
    const status = `VmRSS: 3145728 kB\nRssAnon:\t  524288 kB\nRssFile:\t 2621440 kB\nRssShmem:\t       0 kB\n`
    const files = { "/proc/self/status": status }
    assert.deepStrictEqual(found(files, 3 * GiB), { bytes: 2.5 * GiB, limit: "max-memory" })
  })

  it("is what a control group of version 2 or one above it leaves, without pages of files, which may go", () => {
    const group = "/sys/fs/cgroup/user.slice/serena.service"
    const files = {
      "/proc/self/cgroup": "0::/user.slice/serena.service\n",
      [`${group}/memory.max`]: `${4 * GiB}\n`,
      [`${group}/memory.current`]: `${3 * GiB}\n`,
      [`${group}/memory.stat`]: `anon 1\ninactive_file ${GiB}\nactive_file 5\n`
    }
    assert.deepStrictEqual(found(files), { bytes: 2 * GiB + 5, limit: "container" })
    const above = {
      ...files,
      "/sys/fs/cgroup/user.slice/memory.max": `${5 * GiB}\n`,
      "/sys/fs/cgroup/user.slice/memory.current": `${4 * GiB}\n`
    }
    assert.deepStrictEqual(found(above), { bytes: GiB, limit: "container" })
    assert.strictEqual(found({ ...files, [`${group}/memory.max`]: "max\n" }).limit, "machine")
  })

  it("is what a control group of version 1 leaves, also where a container shows its own as the root", () => {
    const root = "/sys/fs/cgroup/memory"
    const files = {
      "/proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/0123\n0::/\n",
      [`${root}/memory.limit_in_bytes`]: `${2 * GiB}\n`,
      [`${root}/memory.usage_in_bytes`]: `${GiB}\n`,
      [`${root}/memory.stat`]: "total_inactive_file 1024\n"
    }
    assert.deepStrictEqual(found(files), { bytes: GiB + 1024, limit: "container" })
    assert.strictEqual(found({ ...files, [`${root}/memory.limit_in_bytes`]: "9223372036854771712\n" }).limit, "machine")
  })

  it("is half of what the limit on the address space leaves", () => {
    const files = {
      "/proc/self/limits": `Limit                     Soft Limit           Hard Limit           Units\n` +
        `Max address space         ${6 * GiB}           unlimited            bytes\n`,
      "/proc/self/status": `VmSize:\t ${5 * 2 ** 20} kB\n`
    }
    assert.deepStrictEqual(found(files), { bytes: GiB / 2, limit: "address space" })
  })

  it("of this process is more than nothing and less than a petabyte", () => {
    const { bytes } = available(undefined)
    assert.isTrue(bytes > 0 && bytes < 2 ** 50, `${bytes}`)
  })
})
