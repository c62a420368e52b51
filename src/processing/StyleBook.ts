/**
 * The styles of requests, from the file of the command options.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { fileText } from "../core/fileText.ts"
import * as Styles from "../prompt/Styles.ts"
import { CommandOptions } from "./CommandOptions.ts"

/** Largest file that is read, in bytes. */
const largest = 16 * 1024 * 1024

export class StyleBook extends Context.Service<StyleBook, {
  /** The styles, and sentences about problems of the file. A missing file holds no styles. */
  readonly read: Effect.Effect<{
    readonly styles: ReadonlyArray<Styles.PromptStyle>
    readonly problems: ReadonlyArray<string>
  }>
}>()("serena/processing/StyleBook") {
  /** Reads the file each time, so that a change applies to the next run. */
  static readonly layer: Layer.Layer<StyleBook, never, CommandOptions | FileSystem.FileSystem> = Layer.effect(
    StyleBook,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { stylesFile } = yield* CommandOptions
      const unreadable = (reason: string) => ({ styles: [], problems: [`The styles in ${stylesFile} ${reason}.`] })
      return StyleBook.of({
        read: Effect.gen(function*() {
          const { size } = yield* fs.stat(stylesFile)
          if (size > largest) return unreadable("are not read: the file is larger than 16 MB")
          const text = fileText(yield* fs.readFile(stylesFile))
          if (text === undefined) return unreadable("are not read: the file is not valid UTF-8. Save it as UTF-8")
          const { problems, styles } = Styles.parse(text)
          return { styles, problems: problems.map(({ line, message }) => `${stylesFile}, line ${line}: ${message}.`) }
        }).pipe(
          Effect.catch((error) =>
            Effect.succeed(
              error.reason._tag === "NotFound" ? { styles: [], problems: [] } : unreadable("cannot be read")
            )
          )
        )
      })
    })
  )

  /** A fixed list of styles. */
  static readonly layerOf = (styles: ReadonlyArray<Styles.PromptStyle>): Layer.Layer<StyleBook> =>
    Layer.succeed(StyleBook, { read: Effect.succeed({ styles, problems: [] }) })
}
