/**
 * The wildcards of dynamic prompts, from the folder of the command options: `animals/dogs.txt` holds the lines of
 * `__animals/dogs__`.
 *
 * Empty lines and lines that begin with `#` are left out, and of equal lines one counts. Nothing outside of the folder
 * is read, whatever a name or a link says.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import { fileText } from "../core/fileText.ts"
import { nearest } from "../core/Text.ts"
import { inTurns, type Parts } from "../core/Work.ts"
import * as DynamicPrompt from "../prompt/DynamicPrompt.ts"
import { CommandOptions } from "./CommandOptions.ts"

/** Largest file that is read, in bytes. */
const largest = 4 * 1024 * 1024
/** Most lines of a file. */
const mostLines = 100_000
/** Deepest folder below that of the wildcards. */
const deepest = 8
/** Most files that are looked at. */
const mostFiles = 10_000
/** Most problems of a file that are named. */
const mostNamed = 5

export class WildcardBook extends Context.Service<WildcardBook, {
  /** The names of all wildcards, sorted: paths in the folder with `/`, without `.txt`. */
  readonly names: Effect.Effect<ReadonlyArray<string>>
  /** Reads the wildcards that the patterns fit, and those that their lines name in turn. */
  readonly read: (patterns: ReadonlyArray<string>) => Effect.Effect<DynamicPrompt.Lookup>
}>()("serena/processing/WildcardBook") {
  /** Looks at the folder for each run, and reads a file again when its date or size changed. */
  static readonly layer: Layer.Layer<WildcardBook, never, CommandOptions | FileSystem.FileSystem | Path.Path> = Layer
    .effect(
      WildcardBook,
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        const { wildcardsDir: folder } = yield* CommandOptions
        const known = new Map<string, { readonly version: string; readonly lines: DynamicPrompt.WildcardLines }>()

        // Files below a folder by their names. A link may lead elsewhere in the folder, and not out of it.
        const walk = Effect.fnUntraced(function*(root: string) {
          const files = new Map<string, string>()
          const seen = new Set<string>()
          const inside = (real: string) => real === root || real.startsWith(root.endsWith("/") ? root : root + path.sep)
          const visit = (directory: string, prefix: string, depth: number): Effect.Effect<void> =>
            Effect.gen(function*() {
              for (const entry of (yield* fs.readDirectory(directory)).toSorted()) {
                if (files.size >= mostFiles) return
                const found = yield* Effect.option(Effect.flatMap(
                  fs.realPath(path.join(directory, entry)),
                  (file) => Effect.map(fs.stat(file), ({ type }) => ({ file, type }))
                ))
                if (Option.isNone(found) || !inside(found.value.file)) continue
                const { file, type } = found.value
                if (type === "Directory" && depth < deepest && !seen.has(file)) {
                  seen.add(file)
                  yield* visit(file, `${prefix}${entry}/`, depth + 1)
                } else if (type === "File" && /\.txt$/i.test(entry)) {
                  files.set(prefix + entry.slice(0, -".txt".length), file)
                }
              }
            }).pipe(Effect.ignore)
          yield* visit(root, "", 0)
          return files
        })
        const list = fs.realPath(folder).pipe(
          Effect.flatMap(walk),
          Effect.orElseSucceed(() => new Map<string, string>())
        )

        const readFile = Effect.fnUntraced(function*(name: string, file: string) {
          const { ino, mtime, size } = yield* fs.stat(file)
          const version = [size, ...Option.toArray(mtime).map(Number), ...Option.toArray(ino)].join()
          const last = known.get(file)
          if (last?.version === version) return last.lines
          const text = size > largest ? undefined : fileText(yield* fs.readFile(file))
          const lines = size > largest
            ? unreadable(`${name}.txt is larger than 4 MiB. Split it`)
            : text === undefined
            ? unreadable(`${name}.txt is not valid UTF-8. Save it as UTF-8`)
            : yield* inTurns(() => linesOf(name, text))
          known.set(file, { version, lines })
          return lines
        }, (effect, name) => Effect.orElseSucceed(effect, () => unreadable(`${name}.txt cannot be read`)))

        return WildcardBook.of({
          names: Effect.map(list, (files) => [...files.keys()].toSorted()),
          read: Effect.fn("WildcardBook.read")(function*(patterns) {
            if (patterns.length === 0) return () => Result.fail(noneIn(folder))
            const files = yield* list
            const names = [...files.keys()].toSorted()
            const found = new Map<string, DynamicPrompt.WildcardLines>()
            const left = [...new Set(patterns)]
            for (let pattern = left.pop(); pattern !== undefined; pattern = left.pop()) {
              if (found.has(pattern)) continue
              const fitting = namesFor(pattern, names)
              if (fitting.length === 0) continue
              const read = yield* Effect.forEach(fitting, (name) => readFile(name, files.get(name) ?? ""))
              const lines = merged(read)
              found.set(pattern, lines)
              const next = lines.lines.flatMap(({ template }) => DynamicPrompt.wildcardsOf(template))
              for (const { pattern: other } of next) if (!found.has(other)) left.push(other)
            }
            return lookupIn(folder, names, found)
          })
        })
      })
    )

  /** A fixed set of wildcards: the texts of files by their names. */
  static readonly layerOf = (texts: Readonly<Record<string, string>>): Layer.Layer<WildcardBook> => {
    const names = Object.keys(texts).toSorted()
    const read = new Map(names.map((name) => [name, { name, text: texts[name] ?? "" }]))
    return Layer.succeed(WildcardBook, {
      names: Effect.succeed(names),
      read: () =>
        Effect.gen(function*() {
          const files = new Map<string, DynamicPrompt.WildcardLines>()
          for (const { name, text } of read.values()) files.set(name, yield* inTurns(() => linesOf(name, text)))
          return (pattern) => {
            const fitting = namesFor(pattern, names).flatMap((name) => files.get(name) ?? [])
            return fitting.length === 0
              ? Result.fail(unknown("wildcards", names, pattern))
              : Result.succeed(merged(fitting))
          }
        })
    })
  }
}

const unreadable = (problem: string): DynamicPrompt.WildcardLines => ({ lines: [], problems: [problem] })

const noneIn = (folder: string): string => `there are no wildcards in the folder ${folder}`

const unknown = (folder: string, names: ReadonlyArray<string>, pattern: string): string => {
  if (names.length === 0) return `no wildcard is named __${pattern}__: ${noneIn(folder)}`
  const near = nearest(pattern, names)
  const hint = near === undefined ? "" : `. Did you mean __${near}__?`
  return pattern.includes("*")
    ? `no wildcard in the folder ${folder} fits __${pattern}__`
    : `no wildcard is named __${pattern}__ in the folder ${folder}${hint}`
}

const lookupIn = (
  folder: string,
  names: ReadonlyArray<string>,
  found: ReadonlyMap<string, DynamicPrompt.WildcardLines>
): DynamicPrompt.Lookup =>
(pattern) => {
  const lines = found.get(pattern)
  return lines === undefined ? Result.fail(unknown(folder, names, pattern)) : Result.succeed(lines)
}

// The names that a pattern fits: `*` stands for any part of a folder's or file's name, `**` for folders, too.
const namesFor = (pattern: string, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (!pattern.includes("*")) return names.includes(pattern) ? [pattern] : []
  const parts = pattern.split(/(\*{1,})/).map((part) =>
    part.startsWith("**") ? ".*" : part === "*" ? "[^/]*" : part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)
  )
  const fits = new RegExp(`^${parts.join("")}$`, "su")
  return names.filter((name) => fits.test(name))
}

// The lines of several wildcards.
const merged = (files: ReadonlyArray<DynamicPrompt.WildcardLines>): DynamicPrompt.WildcardLines => {
  const [first, ...others] = files
  if (first !== undefined && others.length === 0) return first
  return { lines: files.flatMap(({ lines }) => lines), problems: files.flatMap(({ problems }) => problems) }
}

/** Lines that are read in one part. */
const readAtOnce = 1000

function* linesOf(name: string, text: string): Parts<DynamicPrompt.WildcardLines> {
  const lines = new Map<string, DynamicPrompt.Option>()
  const problems: Array<string> = []
  let number = 0
  for (const written of (text.startsWith("\ufeff") ? text.slice(1) : text).split(/\r\n|[\r\n]/)) {
    if (++number % readAtOnce === 0) yield
    const line = written.trim()
    if (line === "" || line.startsWith("#") || lines.has(line)) continue
    if (lines.size >= mostLines) {
      problems.push(`${name}.txt has more than ${mostLines} lines. Split it`)
      break
    }
    const source = `${name}.txt, line ${number}`
    const option = DynamicPrompt.parseLine(line)
    if (Result.isSuccess(option)) lines.set(line, { ...option.success, source })
    else problems.push(`${source}, ${option.failure.message}`)
  }
  if (lines.size === 0 && problems.length === 0) problems.push(`${name}.txt has no lines`)
  const more = problems.length - mostNamed
  return {
    lines: [...lines.values()],
    problems: more > 0 ? [...problems.slice(0, mostNamed), `${name}.txt: ${more} more lines have problems`] : problems
  }
}
