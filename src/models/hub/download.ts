/**
 * Downloads of one file: resumed where they stopped, compared with their checksum, whole or not at all.
 *
 * What arrives goes to `.name.key.partial` in the folder of the file, where the key stands for the content that the
 * server announces: a partial file of other content is never continued. A download that is whole is synced, compared,
 * and only then gets its name, which must be free.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash, type Hash } from "node:crypto"
import { statfs } from "node:fs/promises"
import { fileSize } from "../../core/Text.ts"
import { codeOf, reasonOf } from "../../core/WriteFailure.ts"
import { type Digest, gitOf, sha256Of } from "./Digest.ts"
import { PullError } from "./PullError.ts"
import { type Answer, type Asked, headerOf, open, patience } from "./requests.ts"

/** A file on a server. */
export interface RemoteFile extends Asked {
  readonly url: URL
  /** In bytes; undefined where the server does not say. */
  readonly size: number | undefined
  readonly digest: Digest | undefined
  /** What changes with the content, such as an entity tag; undefined where nothing does. */
  readonly identity: string | undefined
}

/** The same, with the name that the server gives it; undefined for none. */
export interface NamedFile extends RemoteFile {
  readonly name: string | undefined
}

export interface Progress {
  /** Bytes that are there, of `size` in all, where that is known. */
  readonly received: number
  readonly size: number | undefined
}

type Services = FileSystem.FileSystem | Path.Path | HttpClient.HttpClient

const fail = ({ subject }: Pick<Asked, "subject">, reason: string, isTemporary = false) =>
  new PullError({ subject, reason, isTemporary })

/** Asks for a file's name, size and checksum, without the file. */
export const inspect = Effect.fnUntraced(
  function*(asked: Asked, url: URL): Effect.fn.Return<NamedFile, PullError, HttpClient.HttpClient | Scope.Scope> {
    const answer = yield* open(asked, url)
    const { headers } = answer.response
    if (/^text\/html\b/.test(headers["content-type"] ?? "")) {
      return yield* fail(asked, `${answer.url.host} answers with a web page; use the address of the file itself`)
    }
    const digest = sha256Of(headerOf(answer, "x-linked-etag")) ??
      (url.origin === new URL(asked.hub.endpoint).origin ? gitOf(headerOf(answer, "etag")) : undefined)
    const length = Number(headerOf(answer, "x-linked-size") ?? headers["content-length"] ?? Number.NaN)
    return {
      ...asked,
      url,
      size: Number.isSafeInteger(length) && length >= 0 ? length : undefined,
      digest,
      identity: digest?.hex ?? identityOf(answer),
      name: nameOf(answer, url)
    }
  },
  Effect.scoped
)

const identityOf = ({ response: { headers } }: Answer): string | undefined =>
  headers["etag"] ?? headers["last-modified"]

// RFC 6266: the extended name before the plain one. Without either, the last part of the address.
const nameOf = (answer: Answer, url: URL): string | undefined => {
  const disposition = headerOf(answer, "content-disposition") ?? ""
  const extended = /filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(disposition)?.[1]
  const plain = /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition)
  const named = extended ?? plain?.[1]?.replaceAll(/\\(["\\])/g, "$1") ?? plain?.[2]
  const last = (url: URL) => url.pathname.split("/").at(-1) ?? ""
  const given = named ?? [url, answer.url].map(last).find((name) => /\.[a-z][a-z0-9]{1,11}$/i.test(name))
  if (given === undefined || given === "") return undefined
  if (named !== undefined && extended === undefined) return named
  try {
    return decodeURIComponent(given)
  } catch {
    return given
  }
}

const sizedHash = ({ digest, size }: RemoteFile): Hash =>
  digest?.kind === "git" ? createHash("sha1").update(`blob ${size ?? 0}\0`) : createHash("sha256")

const addTo = (hash: Hash, file: string) =>
  FileSystem.FileSystem.use((fs) =>
    Stream.runForEach(
      fs.stream(file, { chunkSize: 4 * 2 ** 20 }),
      (bytes) => Effect.sync(() => void hash.update(bytes))
    )
  )

const sizeOf = (file: string) =>
  FileSystem.FileSystem.use((fs) =>
    Effect.map(Effect.option(fs.stat(file)), Option.map(({ size }) => Number(size))).pipe(
      Effect.map(Option.getOrUndefined)
    )
  )

/** Whether a file is there; if so, whether it is this one, as far as the checksum says. */
export const compared = Effect.fnUntraced(function*(
  remote: RemoteFile,
  file: string
): Effect.fn.Return<"absent" | "same" | "other", PullError, FileSystem.FileSystem> {
  const size = yield* sizeOf(file)
  if (size === undefined) return "absent"
  if (remote.digest === undefined || (remote.size !== undefined && remote.size !== size)) return "other"
  const hash = sizedHash(remote)
  yield* Effect.mapError(addTo(hash, file), (error) => fail(remote, `${file} cannot be read: ${reasonOf(error)}`))
  return hash.digest("hex") === remote.digest.hex ? "same" : "other"
})

const writeError = (remote: Asked, folder: string) => (error: PlatformError.PlatformError) =>
  fail(
    remote,
    codeOf(error) === "ENOSPC" || codeOf(error) === "EDQUOT"
      ? `${reasonOf(error)} at ${folder}. Make room. ${remote.wording.again}: it continues where it stopped`
      : `nothing can be written in ${folder}: ${reasonOf(error)}. Choose another folder with ${remote.wording.folder}`
  )

/** Fails where a disk has less room than is needed, and left free. */
export const checkRoom = Effect.fnUntraced(function*(asked: Asked, folder: string, bytes: number) {
  const room = yield* Effect.option(Effect.tryPromise(() => statfs(folder)))
  if (Option.isNone(room)) return
  const free = Math.max(0, room.value.bavail * room.value.bsize - asked.reserve)
  if (bytes > free) {
    return yield* fail(
      asked,
      `it needs ${fileSize(bytes)}, and the disk of ${folder} has ${fileSize(free)} left${
        asked.reserve === 0 ? "" : ` for downloads`
      }. Make room, or choose a folder on another disk with ${asked.wording.folder}`
    )
  }
})

/** Fails where a download is larger than it may be. */
export const checkSize = ({ most, subject }: Pick<Asked, "most" | "subject">, bytes: number) =>
  bytes <= most
    ? Effect.void
    : Effect.fail(fail({ subject }, `it has ${fileSize(bytes)}, over the limit of ${fileSize(most)} for a download`))

/** Bytes after which the room on the disk is checked again, for a file of unknown size. */
const roomChecked = 64 * 2 ** 20

/** Retries after which a download that gets nowhere is given up; the pause doubles with each. */
const mostRetries = 5
const firstPause = 250

/**
 * Downloads a file into a partial file next to `target`, from where an earlier download stopped, and returns the
 * partial file and its SHA-256. Fails when the checksum differs, and removes it.
 */
export const fetchPartial = Effect.fnUntraced(function*(
  remote: RemoteFile,
  target: { readonly folder: string; readonly name: string },
  report: (progress: Progress) => Effect.Effect<void>
): Effect.fn.Return<{ readonly partial: string; readonly sha256: string | undefined }, PullError, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { digest, identity, size, wording: { again } } = remote
  const key = createHash("sha256").update(`${identity ?? ""}\n${size ?? ""}`).digest("hex").slice(0, 12)
  const partial = path.join(target.folder, `.${target.name}.${key}.partial`)
  const written = writeError(remote, target.folder)
  // Those of other content are of no use any more.
  yield* removePartials(target, (name) => name === path.basename(partial) && identity !== undefined)
  // How many bytes are there, and their hash so far.
  const there = { at: 0, hash: sizedHash(remote) }
  there.at = yield* Effect.mapError(resume(partial, there.hash, size), written)
  if (size !== undefined) {
    yield* checkSize(remote, size)
    yield* checkRoom(remote, target.folder, size - there.at)
  }
  const startOver = Effect.gen(function*() {
    yield* Effect.mapError(fs.writeFile(partial, new Uint8Array()), written)
    there.hash = sizedHash(remote)
    there.at = 0
  })
  if (there.at === 0) yield* startOver

  // One request, until its end or its failure.
  const attempt = Effect.gen(function*() {
    const isStrong = digest === undefined && identity !== undefined && !identity.startsWith("W/")
    const answer = yield* open(remote, remote.url, {
      ...(there.at > 0 && { range: `bytes=${there.at}-` }),
      ...(there.at > 0 && isStrong && { "if-range": identity })
    })
    const { headers, status } = answer.response
    if (digest === undefined && identity !== undefined && identityOf(answer) !== identity && status !== 416) {
      return yield* fail(remote, `it changed on the server meanwhile. ${again}`)
    }
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers["content-range"] ?? "")
    const isRest = status === 206 && Number(range?.[1]) === there.at &&
      (range?.[2] === "*" || Number(range?.[2]) === size)
    if (there.at > 0 && !isRest) {
      yield* startOver
      // Any other answer than the whole file has to be asked for again.
      if (status !== 200) {
        return yield* fail(remote, `${answer.url.host} does not continue the download; try again later`, true)
      }
    } else if (status === 416) {
      return yield* fail(remote, `${answer.url.host} answers with status 416; try again later`, true)
    }
    const file = yield* Effect.mapError(fs.open(partial, { flag: "a" }), written)
    yield* answer.response.stream.pipe(
      Stream.mapError(({ reason }) =>
        fail(remote, `the connection broke: ${reason.message}. ${again} to continue`, true)
      ),
      Stream.timeoutOrElse({
        duration: patience,
        orElse: () => Stream.fail(fail(remote, `the server sends nothing any more. ${again} to continue`, true))
      }),
      Stream.runForEach(Effect.fnUntraced(function*(bytes) {
        if (size !== undefined && there.at + bytes.length > size) {
          yield* startOver
          return yield* fail(
            remote,
            `${answer.url.host} sends more than the ${size} bytes it announced; try again later`
          )
        }
        if (size === undefined) {
          yield* Effect.tapError(checkSize(remote, there.at + bytes.length), () => startOver)
          const isDue = Math.floor(there.at / roomChecked) < Math.floor((there.at + bytes.length) / roomChecked)
          if (isDue) yield* checkRoom(remote, target.folder, roomChecked)
        }
        yield* Effect.mapError(file.writeAll(bytes), written)
        there.hash.update(bytes)
        there.at += bytes.length
        yield* report({ received: there.at, size })
      }))
    )
    if (size !== undefined && there.at < size) {
      return yield* fail(
        remote,
        `the connection broke after ${fileSize(there.at)} of ${fileSize(size)}. ${again} to continue`,
        true
      )
    }
    yield* Effect.mapError(file.sync, written)
  }).pipe(Effect.scoped)

  yield* report({ received: there.at, size })
  let retries = 0
  while (there.at !== size) {
    const before = there.at
    const result = yield* Effect.result(attempt)
    if (result._tag === "Success") break
    retries = there.at > before ? 1 : retries + 1
    if (!result.failure.isTemporary || retries > mostRetries) return yield* result.failure
    yield* Effect.sleep(firstPause * 2 ** (retries - 1))
  }
  const hex = there.hash.digest("hex")
  if (digest !== undefined && digest.hex !== hex) {
    yield* Effect.ignore(fs.remove(partial))
    return yield* fail(
      remote,
      `its ${digest.kind === "git" ? "git id" : "SHA-256"} is ${hex}, and should be ${digest.hex}: the download was ` +
        `damaged and has been removed. ${again}`
    )
  }
  return { partial, sha256: digest?.kind === "git" ? undefined : hex }
})

/** Removes what is left of earlier downloads of a file. */
export const removePartials = Effect.fnUntraced(function*(
  { folder, name: own }: { readonly folder: string; readonly name: string },
  isKept: (name: string) => boolean = () => false
): Effect.fn.Return<void, never, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (const name of yield* Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => [])) {
    const isPartial = name.startsWith(`.${own}.`) && /^[0-9a-f]{12}\.partial$/.test(name.slice(own.length + 2))
    if (isPartial && !isKept(name)) yield* Effect.ignore(fs.remove(path.join(folder, name)))
  }
})

// Where a partial file ends, whose bytes go into the hash; 0 where there is none, or one that is too long.
const resume = Effect.fnUntraced(function*(partial: string, hash: Hash, size: number | undefined) {
  const there = yield* sizeOf(partial)
  if (there === undefined || there === 0 || size === undefined || there > size) return 0
  yield* addTo(hash, partial)
  return there
})

/** Gives a whole download its name. Returns false where that is taken. */
export const claim = Effect.fnUntraced(function*(
  asked: Asked,
  partial: string,
  file: string
): Effect.fn.Return<boolean, PullError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  // A link never replaces a file. Where there are none, the name is taken first.
  const named = (from: string): Effect.Effect<boolean, PlatformError.PlatformError> =>
    fs.link(from, file).pipe(
      Effect.andThen(fs.remove(from)),
      Effect.catchIf((error) => noLinks.has(codeOf(error) ?? ""), () =>
        fs.writeFile(file, new Uint8Array(), { flag: "wx" }).pipe(
          Effect.andThen(Effect.onError(fs.rename(from, file), () =>
            Effect.ignore(fs.remove(file))))
        )),
      Effect.as(true),
      Effect.catchIf(({ reason }) =>
        reason._tag === "AlreadyExists", () => Effect.succeed(false))
    )
  const copy = path.join(path.dirname(file), path.basename(partial))
  return yield* named(partial).pipe(
    // The subfolder is on another disk.
    Effect.catchIf((error) => codeOf(error) === "EXDEV", () =>
      fs.copyFile(partial, copy).pipe(
        Effect.andThen(named(copy)),
        Effect.tap(() => fs.remove(partial)),
        Effect.onError(() => Effect.ignore(fs.remove(copy)))
      )),
    Effect.mapError(writeError(asked, path.dirname(file)))
  )
})

const noLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"])
