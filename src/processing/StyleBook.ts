/**
 * The styles of requests, from the file of the command options.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { fileText } from "../core/fileText.ts"
import { changing, replaceFile } from "../core/replaceFile.ts"
import { inTurns } from "../core/Work.ts"
import { reasonOf } from "../core/WriteFailure.ts"
import * as Styles from "../prompt/Styles.ts"
import { CommandOptions } from "./CommandOptions.ts"
import { NotSaved } from "./NotSaved.ts"

/** Largest file that is read, in bytes. */
const largest = 16 * 1024 * 1024

/** Most problems of a file that are named. */
const mostNamed = 20

/** The styles there are. */
export interface KnownStyles {
  /** In the order of the file. */
  readonly styles: ReadonlyArray<Styles.PromptStyle>
  readonly byName: ReadonlyMap<string, Styles.PromptStyle>
  /** Sentences about problems of the file. */
  readonly problems: ReadonlyArray<string>
}

const knownStyles = (
  byName: ReadonlyMap<string, Styles.PromptStyle>,
  problems: ReadonlyArray<string> = []
): KnownStyles => ({ styles: Array.from(byName.values()), byName, problems })

export class StyleBook extends Context.Service<StyleBook, {
  /** The styles that there are now. A missing file holds none. */
  readonly read: Effect.Effect<KnownStyles>
  /**
   * Adds or changes a style in the file, or removes it where its texts are left out. What others wrote there stays.
   */
  readonly change: (
    name: string,
    style?: Omit<Styles.PromptStyle, "name">
  ) => Effect.Effect<void, NotSaved>
}>()("serena/processing/StyleBook") {
  /** Reads the file again when its date or size changed, so that a change applies to the next run. */
  static readonly layer: Layer.Layer<StyleBook, never, CommandOptions | FileSystem.FileSystem> = Layer.effect(
    StyleBook,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { stylesFile } = yield* CommandOptions
      const unreadable = (reason: string) => knownStyles(new Map(), [`The styles in ${stylesFile} ${reason}.`])
      const readFile = Effect.gen(function*() {
        const text = fileText(yield* fs.readFile(stylesFile))
        if (text === undefined) return unreadable("are not read: the file is not valid UTF-8. Save it as UTF-8")
        const { problems, styles } = yield* inTurns(() => Styles.parsing(text))
        const named = problems.slice(0, mostNamed)
          .map(({ line, message }) => `${stylesFile}, line ${line}: ${message}.`)
        const more = problems.length - named.length
        return knownStyles(
          styles,
          more === 0 ? named : [...named, `${stylesFile}: ${more} more lines have problems.`]
        )
      })
      let last: { readonly version: string; readonly known: KnownStyles } | undefined
      // One at a time: those that wait find what the first has read.
      const oneByOne = yield* Semaphore.make(1)
      const read: StyleBook["Service"]["read"] = Effect.gen(function*() {
        const { ino, mtime, size } = yield* fs.stat(stylesFile)
        if (size > largest) return unreadable("are not read: the file is larger than 16 MB")
        const version = [size, ...Option.toArray(mtime).map(Number), ...Option.toArray(ino)].join()
        if (last?.version === version) return last.known
        const known = yield* readFile
        last = { version, known }
        return known
      }).pipe(
        Effect.catch((error) =>
          Effect.succeed(
            error.reason._tag === "NotFound" ? knownStyles(new Map()) : unreadable("cannot be read")
          )
        )
      )

      const change: StyleBook["Service"]["change"] = Effect.fn("StyleBook.change")(function*(name, style) {
        // A link stays one.
        const file = yield* Effect.orElseSucceed(fs.realPath(stylesFile), () => stylesFile)
        const notSaved = (reason: string) =>
          new NotSaved({ what: "styles", file: file.split(/[\\/]/).at(-1) ?? "", reason })
        const edit = Effect.gen(function*() {
          const before = yield* Effect.catchIf(
            fs.readFile(file),
            ({ reason }) => reason._tag === "NotFound",
            () => Effect.succeed(new Uint8Array())
          )
          const text = fileText(before)
          if (text === undefined) return yield* notSaved("the file is not valid UTF-8")
          const edited = yield* Effect.mapError(
            Effect.flatMap(inTurns(() => Styles.editing(text, name, style)), Effect.fromResult),
            notSaved
          )
          const bytes = new TextEncoder().encode(hasMark(before) ? `\ufeff${edited}` : edited)
          if (bytes.length > largest) return yield* notSaved("the file would be larger than 16 MB")
          yield* Effect.tapError(
            replaceFile(fs, file, `${file}.partial`, bytes),
            ({ message }) => Effect.logError(`Styles were not saved in ${file}: ${message}`)
          )
        })
        // Servers may share the file.
        yield* Effect.catchTags(changing(fs, file)(edit), {
          FileInUse: () => Effect.fail(notSaved("another process is changing the file")),
          PlatformError: (error) => Effect.fail(notSaved(reasonOf(error)))
        })
      })

      return StyleBook.of({
        read: oneByOne.withPermits(1)(read),
        change: (name, style) => oneByOne.withPermits(1)(change(name, style))
      })
    })
  )

  /** Styles in memory. */
  static readonly layerOf = (styles: ReadonlyArray<Styles.PromptStyle>): Layer.Layer<StyleBook> =>
    Layer.sync(StyleBook, () => {
      const all = new Map(styles.map((style) => [style.name, style]))
      return {
        read: Effect.sync(() => knownStyles(new Map(all))),
        change: (name, style) =>
          Effect.sync(() => {
            if (style === undefined) all.delete(name)
            else all.set(name, { ...style, name })
          })
      }
    })
}

// The byte order mark of UTF-8, which spreadsheets write. Files in UTF-16 become UTF-8.
const hasMark = ([first, second, third]: Uint8Array): boolean => first === 0xEF && second === 0xBB && third === 0xBF
