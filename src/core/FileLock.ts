/**
 * A lock on a file that one process at a time may write.
 *
 * While a process holds `settings.json`, `settings.json.lock` stands next to it and names the process. A lock that was
 * left by a killed process is taken over. Where the holder cannot be asked for, as on another machine or in another
 * container, its lock counts until its time of modification has stood still for a while: a holder renews it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import * as ProcessIdentity from "./ProcessIdentity.ts"
import { readableError } from "./readableError.ts"

const Holder = Schema.Struct({
  ...ProcessIdentity.ProcessIdentity.fields,
  host: Schema.String,
  /** Distinguishes this lock from all others. */
  key: Schema.String
})

const Content = Schema.fromJsonString(Holder)
const decodeContent = Schema.decodeUnknownOption(Content)
const encodeContent = Schema.encodeEffect(Content)

/** The file is in use by another process. */
export class FileInUse extends Schema.TaggedError<FileInUse>()("FileInUse", {
  /** The lock. */
  lock: Schema.String,
  /** The process that holds it, as a phrase. */
  holder: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `It is in use by ${this.holder}, as ${this.lock} says.`
  }
}

export interface FileLock {
  /** Whether this process still holds the file. A lock that was removed is put back. */
  readonly isHeld: Effect.Effect<boolean>
}

/** Milliseconds between two renewals of a held lock. */
const renewal = 5000

/** Milliseconds for which a lock must stand still before it is taken from a holder that cannot be asked for. */
export const staleAfter = 20_000

interface Seen {
  readonly text: string
  readonly modified: number
}

/** Holds a file until the scope closes. Fails with `FileInUse` while another process, or this one, holds it. */
export const acquire = Effect.fn("FileLock.acquire")(function*(
  file: string
): Effect.fn.Return<FileLock, FileInUse | PlatformError.PlatformError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const lock = `${file}.lock`
  const own = yield* ProcessIdentity.current
  const text = yield* Effect.orDie(encodeContent({ ...own, host: hostname(), key: randomUUID() }))

  const look: Effect.Effect<Option.Option<Seen>, PlatformError.PlatformError> = Effect.gen(function*() {
    const modified = Option.match((yield* fs.stat(lock)).mtime, { onNone: () => 0, onSome: (time) => time.getTime() })
    return Option.some({ text: yield* fs.readFileString(lock), modified })
  }).pipe(Effect.catchIf(isMissing, () => Effect.succeedNone))

  const create = fs.writeFileString(lock, text, { flag: "wx" }).pipe(
    Effect.as(true),
    Effect.catchIf(({ reason }) => reason._tag === "AlreadyExists", () => Effect.succeed(false)),
    // A full disk can leave the name without the content.
    Effect.tapError(() => removeOwn)
  )

  const removeOwn = Effect.ignore(Effect.gen(function*() {
    const seen = Option.getOrUndefined(yield* look)
    if (seen !== undefined && text.startsWith(seen.text)) yield* fs.remove(lock, { force: true })
  }))

  // The lock is moved aside rather than removed: it may be another by now, which is put back.
  const takeOver = Effect.fnUntraced(
    function*(seen: Seen) {
      const aside = `${lock}.${randomUUID()}`
      yield* fs.rename(lock, aside)
      if ((yield* fs.readFileString(aside)) !== seen.text) yield* Effect.ignore(fs.link(aside, lock))
      yield* fs.remove(aside, { force: true })
    },
    Effect.uninterruptible,
    Effect.catchIf(isMissing, () => Effect.void)
  )

  // Whether a lock changes, or goes, while it is watched.
  const isRenewed = Effect.fnUntraced(function*(seen: Seen) {
    const begun = yield* Clock.currentTimeMillis
    while ((yield* Clock.currentTimeMillis) - begun < staleAfter) {
      yield* Effect.sleep(renewal / 10)
      const now = yield* look
      if (Option.isNone(now) || now.value.text !== seen.text || now.value.modified !== seen.modified) return true
    }
    return false
  })

  const enter: Effect.Effect<void, FileInUse | PlatformError.PlatformError, FileSystem.FileSystem> = Effect.gen(
    function*() {
      if (yield* create) return
      const found = yield* look
      if (Option.isNone(found)) return yield* enter
      const seen = found.value
      const holder = Option.getOrUndefined(decodeContent(seen.text))
      const status = holder === undefined ? "unknown" : yield* ProcessIdentity.statusOf(holder)
      const held = new FileInUse({ lock, holder: describe(holder) })
      if (status === "running") return yield* held
      if (status === "unknown") {
        yield* Effect.logWarning(
          `${lock} names ${describe(holder)}; waiting up to ${staleAfter / 1000} seconds to see whether it is in use`
        )
        if (yield* isRenewed(seen)) {
          // It may have ended meanwhile.
          if (Option.isNone(yield* look)) return yield* enter
          return yield* held
        }
      }
      yield* takeOver(seen)
      return yield* enter
    }
  )

  const isHeld = Effect.gen(function*() {
    const found = yield* look
    return Option.isNone(found) ? yield* create : found.value.text === text
  }).pipe(Effect.orElseSucceed(() => false))

  yield* Effect.acquireRelease(enter, () => removeOwn)
  yield* Effect.gen(function*() {
    const now = new Date(yield* Clock.currentTimeMillis)
    if (yield* isHeld) yield* Effect.ignore(fs.utimes(lock, now, now))
  }).pipe(Effect.delay(renewal), Effect.forever, Effect.forkScoped)
  return { isHeld }
})

const isMissing = ({ reason }: PlatformError.PlatformError): boolean => reason._tag === "NotFound"

const describe = (holder: typeof Holder.Type | undefined): string => {
  if (holder === undefined) return "a process that it does not name"
  const { host, pid } = holder
  if (host !== hostname()) return `process ${pid} on ${host}`
  return pid === process.pid ? `process ${pid}, which is this one` : `process ${pid}`
}
