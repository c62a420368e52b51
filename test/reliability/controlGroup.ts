/** A control group that limits the memory of the processes in it, as a container's or a service's does. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** Version 1 has a folder for each controller, version 2 one for all. */
const versions = [
  { root: "/sys/fs/cgroup/memory", line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m, limit: "memory.limit_in_bytes" },
  { root: "/sys/fs/cgroup", line: /^0::(.*)$/m, limit: "memory.max" },
  { root: "/sys/fs/cgroup/unified", line: /^0::(.*)$/m, limit: "memory.max" }
]

/** Where groups can be made: below this process's own, or as its neighbours, as version 2 has it. */
const places = versions.flatMap(({ limit, line, root }) => {
  const [, path] = line.exec(existsSync("/proc/self/cgroup") ? readFileSync("/proc/self/cgroup", "utf8") : "") ?? []
  if (path === undefined) return []
  const own = join(root, path)
  return [own, dirname(own), root].filter((folder) => folder.startsWith(root)).map((folder) => ({ folder, limit }))
})

const made = (bytes: number): string => {
  let reason = "this system has no control groups"
  for (const { folder, limit } of places) {
    const group = join(folder, `serena-test-${randomUUID()}`)
    try {
      mkdirSync(group)
    } catch (error) {
      reason = String(error)
      continue
    }
    // Where the groups have no controller of memory, there is no such file.
    if (existsSync(join(group, limit))) {
      writeFileSync(join(group, limit), `${bytes}`)
      return group
    }
    rmdirSync(group)
    reason = `${folder} does not limit memory`
  }
  throw new Error(reason)
}

/** A group of so many bytes until the scope closes, when its processes must have ended. */
export const controlGroup = (bytes: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(() => made(bytes)), (group) => Effect.sync(() => rmdirSync(group)))

/** Why there can be none here; undefined where there can. */
export const cannotLimit = ((): string | undefined => {
  try {
    rmdirSync(made(2 ** 30))
    return undefined
  } catch (error) {
    return `no control group can be made here: ${error instanceof Error ? error.message : String(error)}`
  }
})()
