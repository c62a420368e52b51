/**
 * Which process left a file: its id, when it started, and the machine that the id belongs to.
 *
 * A process id alone says little. A later process can get the same one, and other machines and containers count for
 * themselves. On Linux `/proc` has the start time, the boot and the id namespace; elsewhere the host name and the id
 * must do, and some answers are "unknown".
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { hostname } from "node:os"

export const ProcessIdentity = Schema.Struct({
  pid: Schema.Int.check(Schema.isGreaterThan(0)),
  /** Machine, boot and id namespace, as eight hexadecimal digits: an id means the same where these are the same. */
  place: Schema.String,
  /** When the process started, in clock ticks after the boot; 0 where the system does not say. */
  started: Schema.Int
})
export type ProcessIdentity = typeof ProcessIdentity.Type

/** The state of a process; `unknown` for another machine's, and where its start time cannot be compared. */
export type ProcessStatus = "running" | "ended" | "unknown"

// Empty where there is no such file.
const read = (file: string) =>
  FileSystem.FileSystem.use((fs) => Effect.orElseSucceed(fs.readFileString(file), () => ""))

const place = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const boot = yield* read("/proc/sys/kernel/random/boot_id")
  const namespace = yield* Effect.orElseSucceed(fs.readLink("/proc/self/ns/pid"), () => "")
  return createHash("sha256").update(`${hostname()}\n${boot}\n${namespace}`).digest("hex").slice(0, 8)
})

// State and start time, fields 3 and 22 of `stat`; the name before them may hold anything.
const statOf = Effect.fnUntraced(function*(pid: number) {
  const fields = (yield* read(`/proc/${pid}/stat`)).replace(/^.*\) /s, "").split(" ")
  const started = Number(fields[19])
  return { state: fields[0] ?? "", started: Number.isSafeInteger(started) ? started : 0 }
})

/** This process. */
export const current: Effect.Effect<ProcessIdentity, never, FileSystem.FileSystem> = Effect.gen(function*() {
  return { pid: process.pid, place: yield* place, started: (yield* statOf(process.pid)).started }
})

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
}

/** Whether a process runs. One that was killed and that its parent has not noticed yet has ended. */
export const statusOf = Effect.fnUntraced(function*(
  { pid, place: where, started }: ProcessIdentity
): Effect.fn.Return<ProcessStatus, never, FileSystem.FileSystem> {
  if (where !== (yield* place)) return "unknown"
  if (!isThere(pid)) return "ended"
  const now = yield* statOf(pid)
  if (/^[ZX]$/.test(now.state)) return "ended"
  if (started === 0 || now.started === 0) return "unknown"
  return now.started === started ? "running" : "ended"
})
