/**
 * Tags that are suggested while a prompt is typed, from a CSV file as a1111-sd-webui-tagcomplete reads it: tag,
 * category, count, and the aliases in one quoted field. Only the tag is required, and there is no header.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Semaphore from "effect/Semaphore"
import * as Csv from "../../core/Csv.ts"
import { fileText } from "../../core/fileText.ts"
import { inTurns, type Parts } from "../../core/Work.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { ServerOptions } from "./ServerOptions.ts"

/** Largest file that is read, in bytes. */
const largest = 64 * 1024 * 1024
/** Most tags of a file. */
const mostTags = 500_000
/** Longest tag, and longest list of aliases, in characters. */
const longest = { tag: 200, aliases: 10_000 }
/** Most problems of a file that are named. */
const mostNamed = 20
/** Tags that are looked at in one part. */
const atOnce = 4096

export interface Tag {
  /** As the file has it, such as `long_hair`. */
  readonly name: string
  /** A number whose meaning depends on the file's site; null without one. */
  readonly category: number | null
  /** How many images have it; null without one. */
  readonly count: number | null
}

export interface FoundTag extends Tag {
  /** The alias that fits, where the name does not. */
  readonly alias: string | undefined
}

interface Known extends Tag {
  /** Name and aliases as they are compared. */
  readonly keys: ReadonlyArray<string>
  readonly aliases: ReadonlyArray<string>
}

export class TagBook extends Context.Service<TagBook, {
  /**
   * Tags whose name or alias begins with a text, then those that have it anywhere, the most frequent first. Case does
   * not matter, and a space is an underscore.
   */
  readonly find: (text: string, most: number) => Effect.Effect<ReadonlyArray<FoundTag>>
}>()("serena/server/host/TagBook") {
  /** Reads the file when it is first needed, and again when its date or size changed. */
  static readonly layer: Layer.Layer<
    TagBook,
    never,
    CommandOptions | FileSystem.FileSystem | Path.Path | ServerOptions
  > = Layer.effect(
    TagBook,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const { dataDir } = yield* CommandOptions
      const { tags_file } = yield* ServerOptions
      const file = tags_file ?? (dataDir === undefined ? undefined : path.join(dataDir, "tags.csv"))
      const warn = (reason: string) => Effect.logWarning(`The tags in ${file} ${reason}.`)

      const read = Effect.fnUntraced(function*(file: string) {
        const text = fileText(yield* fs.readFile(file))
        if (text === undefined) {
          yield* warn("are not read: the file is not valid UTF-8. Save it as UTF-8")
          return []
        }
        const { problems, tags } = yield* inTurns(() => parsing(text))
        const named = problems.slice(0, mostNamed).map(({ line, message }) => `line ${line}: ${message}`)
        const more = problems.length - named.length
        const all = more > 0 ? [...named, `${more} more lines`] : named
        if (all.length > 0) yield* warn(`are read in part. Correct these lines: ${all.join("; ")}`)
        return tags
      })

      let last: { readonly version: string; readonly tags: ReadonlyArray<Known> } | undefined
      // One at a time: those that wait find what the first has read.
      const oneByOne = yield* Semaphore.make(1)
      const load = Effect.gen(function*() {
        if (file === undefined) return []
        const { ino, mtime, size } = yield* fs.stat(file)
        const version = [size, ...Option.toArray(mtime).map(Number), ...Option.toArray(ino)].join()
        if (last?.version === version) return last.tags
        if (size > largest) yield* warn("are not read: the file is larger than 64 MiB. Leave rare tags out")
        last = { version, tags: size > largest ? [] : yield* read(file) }
        return last.tags
      }).pipe(
        oneByOne.withPermits(1),
        Effect.catch((error) => {
          const version = error.reason._tag
          const isKnown = last?.version === version
          last = { version, tags: [] }
          // The file of the data folder need not be there.
          const isMissing = version === "NotFound" && tags_file === undefined
          return Effect.as(isKnown || isMissing ? Effect.void : warn(`cannot be read: ${error.message}`), [])
        })
      )

      return TagBook.of({
        find: Effect.fn("TagBook.find")(function*(text, most) {
          const wanted = keyOf(text)
          const tags = wanted === "" ? [] : yield* load
          return yield* inTurns(() => finding(tags, wanted, most))
        })
      })
    })
  )
}

const keyOf = (text: string): string => text.trim().toLowerCase().replaceAll(" ", "_")

// The tags are in the order of their counts, so the first that fit are the best.
function* finding(tags: ReadonlyArray<Known>, wanted: string, most: number): Parts<ReadonlyArray<FoundTag>> {
  const beginning: Array<FoundTag> = []
  const containing: Array<FoundTag> = []
  const found = ({ aliases, category, count, name }: Known, place: number): FoundTag => ({
    name,
    category,
    count,
    alias: place === 0 ? undefined : aliases[place - 1]
  })
  for (const [i, tag] of tags.entries()) {
    if (i % atOnce === atOnce - 1) yield
    if (beginning.length >= most) break
    const first = tag.keys.findIndex((key) => key.startsWith(wanted))
    if (first !== -1) {
      beginning.push(found(tag, first))
      continue
    }
    if (containing.length >= most) continue
    const inside = tag.keys.findIndex((key) => key.includes(wanted))
    if (inside !== -1) containing.push(found(tag, inside))
  }
  return [...beginning, ...containing].slice(0, most)
}

interface LineProblem {
  readonly line: number
  readonly message: string
}

const numberOf = (text: string | undefined): number | null | undefined =>
  text === undefined || text.trim() === "" ? null : /^\s*-?\d{1,15}\s*$/.test(text) ? Number(text) : undefined

function* parsing(
  text: string
): Parts<{ readonly tags: ReadonlyArray<Known>; readonly problems: ReadonlyArray<LineProblem> }> {
  const problems: Array<LineProblem> = []
  const tags = new Map<string, Known>()
  const rows = Csv.rows(text, longest.aliases)
  for (let row = yield* Csv.next(rows); row !== undefined; row = yield* Csv.next(rows)) {
    const { fields, line, tooLong, unclosed } = row
    const report = (message: string) => problems.push({ line, message })
    const name = (fields[0] ?? "").trim()
    const [category, count] = [numberOf(fields[1]), numberOf(fields[2])]
    if (unclosed) report("a quoted field is not closed")
    else if (tooLong !== undefined) report(`a field has ${tooLong} characters; at most ${longest.aliases} are read`)
    else if (name.length > longest.tag) report(`the tag has ${name.length} characters; at most ${longest.tag} are read`)
    else if (name === "") report("there is no tag")
    else if (category === undefined || count === undefined) {
      // A file with a header names its columns there.
      if (line > 1) report("category and count are not whole numbers")
    } else if (tags.size >= mostTags) {
      report(`only the first ${mostTags} tags are read`)
      break
    } else if (!tags.has(name)) {
      const aliases = (fields[3] ?? "").split(",").map((alias) => alias.trim()).filter((alias) => alias !== "")
      tags.set(name, { name, category, count, aliases, keys: [name, ...aliases].map(keyOf) })
    }
  }
  yield
  return { tags: [...tags.values()].toSorted((a, b) => (b.count ?? 0) - (a.count ?? 0)), problems }
}
