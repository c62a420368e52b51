/**
 * The memory that this process may still take, in bytes: the least of what the machine has free, what the control
 * groups it runs in leave (both versions, those of containers included), what the limit on its address space leaves,
 * and what `--max-memory` leaves.
 */
import { join } from "node:path"
import { type Controller, groupFolders, type ReadSystemFile, readSystemFile } from "../core/controlGroups.ts"
import type { MemoryLimit } from "../model/LoadedModel.ts"

/** What is known of the process and its surroundings. */
export interface Surroundings {
  readonly read: ReadSystemFile
  /** Bytes that the process has in memory, mapped files included. */
  readonly resident: number
  /** Bytes that the machine has free, where `/proc` does not say. */
  readonly free: number
}

export interface Available {
  readonly bytes: number
  /** What sets the limit. */
  readonly limit: MemoryLimit
}

/** The memory available in these surroundings. `most` is what the process may hold in all; undefined for any amount. */
export const availableIn = ({ free, read, resident }: Surroundings, most: number | undefined): Available => {
  const machine = kilobytes(read("/proc/meminfo"), "MemAvailable") ?? free
  const candidates: ReadonlyArray<Available> = [
    { bytes: machine, limit: "machine" },
    ...controlGroups(read).map((bytes): Available => ({ bytes, limit: "container" })),
    ...addressSpace(read).map((bytes): Available => ({ bytes, limit: "address space" })),
    ...(most === undefined ? [] : [{ bytes: most - heldIn({ read, resident }), limit: "max-memory" as const }])
  ]
  const least = candidates.reduce((least, each) => each.bytes < least.bytes ? each : least)
  return { ...least, bytes: Math.max(0, least.bytes) }
}

/**
 * Bytes that the process holds of its own: without the files that it maps, such as the weights of checkpoints. The
 * system drops those when it needs their memory. Where `/proc` does not count them apart, all that is in memory.
 */
export const heldIn = ({ read, resident }: Pick<Surroundings, "read" | "resident">): number => {
  const status = read("/proc/self/status")
  const anonymous = kilobytes(status, "RssAnon")
  return anonymous === undefined ? resident : anonymous + (kilobytes(status, "RssShmem") ?? 0)
}

/** The memory available to this process. */
export const available = (most: number | undefined): Available =>
  availableIn({ read: readSystemFile, resident: process.memoryUsage.rss(), free: process.availableMemory() }, most)

/** What this process holds, as `heldIn` counts it. */
export const held = (): number => heldIn({ read: readSystemFile, resident: process.memoryUsage.rss() })

// A row such as `MemAvailable:   22689 kB`, in bytes.
const kilobytes = (text: string | undefined, name: string): number | undefined => {
  const [, found] = new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(text ?? "") ?? []
  return found === undefined ? undefined : Number(found) * 1024
}

/** Where the memory controller of a version has its groups, and how its files are named. */
const versions: ReadonlyArray<Controller & { readonly limit: string; readonly used: string }> = [
  {
    roots: ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
    line: /^0::(.*)$/m,
    limit: "memory.max",
    used: "memory.current"
  },
  {
    roots: ["/sys/fs/cgroup/memory"],
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes"
  }
]

// What each group on the way up leaves that has a limit.
const controlGroups = (read: ReadSystemFile): ReadonlyArray<number> =>
  versions.flatMap(({ limit, used, ...controller }) =>
    groupFolders(read, controller).flatMap((folder) => {
      const most = Number(read(join(folder, limit))?.trim() ?? NaN)
      const taken = Number(read(join(folder, used))?.trim() ?? NaN)
      if (!Number.isFinite(most) || !Number.isFinite(taken)) return []
      // Pages of files give way, such as mapped weights.
      const stat = read(join(folder, "memory.stat")) ?? ""
      return [most - Math.max(0, taken - pagesIn(stat, "inactive_file") - pagesIn(stat, "active_file"))]
    })
  )

// Version 1 has a group's own pages first, then those of the groups below it as well.
const pagesIn = (stat: string, name: string): number => {
  const all = [...stat.matchAll(new RegExp(`^(?:total_)?${name} (\\d+)$`, "gm"))].at(-1)
  return Number(all?.[1] ?? 0)
}

// What `ulimit -v` leaves: half of it, as onnxruntime's allocator reserves up to twice the addresses that it uses.
const addressSpace = (read: ReadSystemFile): ReadonlyArray<number> => {
  const [, most] = /^Max address space\s+(\d+)/m.exec(read("/proc/self/limits") ?? "") ?? []
  const taken = kilobytes(read("/proc/self/status"), "VmSize")
  return most === undefined || taken === undefined ? [] : [(Number(most) - taken) / 2]
}
