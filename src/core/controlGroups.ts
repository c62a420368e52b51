/**
 * The control groups that this process is in, containers included: where the files of a controller are, and how much of
 * the processors they leave.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"

/** The text of a file below `/proc` or `/sys`; undefined where there is none. */
export type ReadSystemFile = (path: string) => string | undefined

/** Reads the files of this system. */
export const readSystemFile: ReadSystemFile = (path) => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** A controller of one of the two versions. */
export interface Controller {
  /** Where it may have its groups. */
  readonly roots: ReadonlyArray<string>
  /** The row of `/proc/self/cgroup` that names the group, as the first group of the expression. */
  readonly line: RegExp
}

/**
 * The folders of the process's group and of each group above it. Within a container the group's own path may not be
 * there: then the container's group is the root.
 */
export const groupFolders = (read: ReadSystemFile, { line, roots }: Controller): ReadonlyArray<string> => {
  const [, path] = line.exec(read("/proc/self/cgroup") ?? "") ?? []
  if (path === undefined) return []
  const names = path.split("/").filter((name) => name !== "")
  const folders = names.map((_, i) => join("/", ...names.slice(0, names.length - i)))
  return roots.flatMap((root) => [...folders, ""].map((folder) => join(root, folder)))
}

const unified: Controller = { roots: ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"], line: /^0::(.*)$/m }
const processors: Controller = {
  roots: ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"],
  line: /^\d+:(?:[^:]*,)?cpu(?:,[^:]*)?:(.*)$/m
}

/** How many processors' time the groups leave, such as 1.5; undefined for all there is. */
export const processorQuota = (read: ReadSystemFile): number | undefined => {
  const numbers = (text: string | undefined) => (text ?? "").trim().split(/\s+/).map(Number)
  // `150000 100000`: microseconds in each period; `max` for no limit.
  const inOneFile = (folder: string) => numbers(read(join(folder, "cpu.max")))
  const inTwo = (folder: string) =>
    ["cpu.cfs_quota_us", "cpu.cfs_period_us"].flatMap((name) => numbers(read(join(folder, name))))
  const quotas = [
    ...groupFolders(read, unified).map(inOneFile),
    ...groupFolders(read, processors).map(inTwo)
  ].flatMap(([quota = NaN, period = NaN]) => quota > 0 && period > 0 ? [quota / period] : [])
  return quotas.length === 0 ? undefined : Math.min(...quotas)
}
