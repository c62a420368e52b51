/**
 * Where pictures are kept: `<folder>/<date>/<number>-<seed>.png`.
 *
 * A file appears whole or not at all, and no file is ever replaced, also when several processes save into one folder: it
 * is written under a temporary name, synced, and then linked to the first free number.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Random from "effect/Random"
import { SaveError } from "../processing/errors.ts"

export class ImageStore extends Context.Service<ImageStore, {
  /** Sees that files can be saved in a folder, and makes the folder. */
  readonly check: (folder: string) => Effect.Effect<void, SaveError>
  /** Saves a file and gives its path. */
  readonly save: (image: {
    /** The folder for all pictures of a kind; a folder for the day is made in it. */
    readonly folder: string
    readonly seed: number
    readonly png: Uint8Array
  }) => Effect.Effect<string, SaveError>
}>()("serena/images/ImageStore") {
  /** Pictures in the file system. */
  static readonly layer: Layer.Layer<ImageStore, never, FileSystem.FileSystem | Path.Path> = Layer.effect(
    ImageStore,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path

      const sync = (file: string) =>
        Effect.scoped(Effect.flatMap(fs.open(file, { flag: "r" }), (opened) => opened.sync))

      const nextNumber = Effect.fnUntraced(function*(folder: string) {
        let next = 0
        for (const name of yield* fs.readDirectory(folder)) {
          // A longer number is nobody's count, and could not be counted on from exactly.
          const number = /^(\d{1,12})-/.exec(name)?.[1]
          if (number !== undefined) next = Math.max(next, Number(number) + 1)
        }
        return next
      })

      // Hard links never replace a file. Where the file system has none, the name is taken first, then the file moved.
      const claim = (temporary: string, file: string) =>
        fs.link(temporary, file).pipe(
          Effect.catchIf(hasNoLinks, () =>
            fs.writeFile(file, new Uint8Array(), { flag: "wx" }).pipe(
              Effect.andThen(Effect.onError(fs.rename(temporary, file), () => Effect.ignore(fs.remove(file))))
            ))
        )

      const check: ImageStore["Service"]["check"] = Effect.fnUntraced(function*(folder) {
        const dir = path.resolve(folder)
        yield* fs.makeDirectory(dir, { recursive: true }).pipe(
          Effect.andThen(fs.access(dir, { writable: true })),
          Effect.mapError((error) => new SaveError({ path: dir, reason: reasonOf(error) }))
        )
      })

      const save: ImageStore["Service"]["save"] = Effect.fnUntraced(function*({ folder, png, seed }) {
        const dir = path.resolve(folder, yield* today)
        const temporary = path.join(dir, `.${(yield* Random.nextIntBetween(0, 2 ** 48)).toString(36)}.partial`)
        return yield* Effect.gen(function*() {
          yield* fs.makeDirectory(dir, { recursive: true })
          yield* Effect.scoped(Effect.gen(function*() {
            const file = yield* fs.open(temporary, { flag: "wx" })
            yield* file.writeAll(png)
            yield* file.sync
          }))
          for (let number = yield* nextNumber(dir);; number++) {
            const file = path.join(dir, fileName(number, seed))
            const claimed = yield* claim(temporary, file).pipe(
              Effect.as(true),
              Effect.catchIf(isTaken, () => Effect.succeed(false))
            )
            if (claimed) {
              yield* Effect.ignore(sync(dir))
              return file
            }
          }
        }).pipe(
          Effect.ensuring(Effect.ignore(fs.remove(temporary, { force: true }))),
          // A file that is being written is finished, whoever no longer waits for it.
          Effect.uninterruptible,
          Effect.mapError((error) => new SaveError({ path: dir, reason: reasonOf(error) }))
        )
      })

      return ImageStore.of({ check, save })
    })
  )
}

/** The name of the folder for this day. */
export const today: Effect.Effect<string> = Effect.map(
  DateTime.now,
  (now) => DateTime.formatIsoDate(DateTime.setZone(now, DateTime.zoneMakeLocal()))
)

/** The name of a file in it. */
export const fileName = (number: number, seed: number): string => `${String(number).padStart(5, "0")}-${seed}.png`

const isTaken = (error: PlatformError.PlatformError): boolean => error.reason._tag === "AlreadyExists"

// What a link fails with where the file system has none.
const hasNoLinks = ({ reason }: PlatformError.PlatformError): boolean =>
  ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK"].includes(codeOf(reason) ?? "")

const codeOf = ({ cause }: PlatformError.PlatformError["reason"]): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file is larger than allowed here",
  EACCES: "there is no permission to write there",
  EPERM: "there is no permission to write there",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file, not a folder"
}

const reasonOf = ({ reason }: PlatformError.PlatformError): string => {
  const code = codeOf(reason)
  return (code === undefined ? undefined : reasons[code]) ?? (code ?? reason.message)
}
