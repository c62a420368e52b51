/**
 * CLIP's byte-level BPE, in the thread for long work: opening a vocabulary of 49,408 tokens takes a tenth of a second,
 * and so does a prompt of 100 kB. A short text with a small vocabulary takes less time than the start of a thread.
 */
import { Tokenizer as Bpe } from "@huggingface/tokenizers"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Problem, problemsOf } from "../core/Problem.ts"
import { away, type Parts } from "../core/Work.ts"
import type { TokenizerConfig } from "./configFiles.ts"

/** The files of a tokenizer. They come along with each call, in memory that both threads see. */
export interface Source {
  /** Its name among the tokenizers that stay open in the thread: the same for the same files and configuration. */
  readonly key: string
  readonly config: typeof TokenizerConfig.Type
  /** Texts in UTF-8: `tokenizer.json`, or `vocab.json` and `merges.txt`. */
  readonly files: Readonly<Record<string, Uint8Array>>
}

/** Ids that its configuration names. */
export interface NamedIds {
  readonly comma: number
  readonly start: number
  readonly end: number
  readonly padding: number
}

/** What is wrong with a file. */
interface FileProblem extends Problem {
  readonly file: string
}

/** Ids of several texts, one after the other, and the place after each text's last. */
export interface Ids {
  readonly ids: Int32Array
  readonly ends: ReadonlyArray<number>
}

const module = import.meta.url

/** Opens a tokenizer, or says what is wrong with its files. */
export const open = (source: Source) =>
  away({ module, parts: openWork, lane: "prompts" }, [source], effortToOpen(source))

/** Encodes texts by a tokenizer that opens. */
export const encode = (source: Source, texts: ReadonlyArray<string>) =>
  away({ module, parts: encodeWork, lane: "prompts" }, [source, texts], effortToOpen(source) + effortToEncode(texts))

// Counted each time, as a tokenizer is open only in the thread that opened it, and the same text may go to either.
const effortToOpen = ({ files }: Source) => 16 * Object.values(files).reduce((sum, { length }) => sum + length, 0)

// A text without spaces takes ten times as long as others.
const effortToEncode = (texts: ReadonlyArray<string>) => 2048 * texts.reduce((sum, { length }) => sum + length, 0)

export function* openWork(source: Source): Parts<NamedIds | ReadonlyArray<FileProblem>> {
  const { config: { bos_token, eos_token, pad_token } } = source
  const known = kept.get(source.key)
  const definition = known === undefined ? yield* define(source) : Result.succeed({})
  if (Result.isFailure(definition)) return definition.failure
  try {
    const bpe = known ?? new Bpe(definition.success, source.config)
    keep(source, bpe)
    const id = (token: string | { readonly content: string }): number => {
      const content = typeof token === "string" ? token : token.content
      const found = bpe.token_to_id(content)
      if (found === undefined) throw new Error(`the special token ${content} is not in the vocabulary`)
      return found
    }
    const end = id(eos_token)
    return { start: id(bos_token), end, padding: pad_token ? id(pad_token) : end, comma: idsOf(bpe, ",").at(-1) ?? -1 }
  } catch (cause) {
    return problem("tokenizer.json", cause instanceof Error ? cause.message : String(cause))
  }
}

export function* encodeWork(source: Source, texts: ReadonlyArray<string>): Parts<Ids> {
  const bpe = kept.get(source.key) ?? (yield* reopened(source))
  const found: Array<ReadonlyArray<number>> = []
  for (const text of texts) {
    found.push(idsOf(bpe, text))
    yield
  }
  const ends: Array<number> = []
  let length = 0
  for (const { length: own } of found) ends.push(length += own)
  const ids = new Int32Array(length)
  for (const [i, own] of found.entries()) ids.set(own, (ends[i] ?? 0) - own.length)
  return { ids, ends }
}

const idsOf = (bpe: Bpe, text: string): ReadonlyArray<number> => bpe.encode(text, { add_special_tokens: false }).ids

/** Tokenizers that stay open: those of two models at a time. */
const mostKept = 4
const kept = new Map<string, Bpe>()

const keep = ({ key }: Source, bpe: Bpe) => {
  kept.delete(key)
  kept.set(key, bpe)
  for (const oldest of kept.keys()) {
    if (kept.size <= mostKept) return
    kept.delete(oldest)
  }
}

function* reopened(source: Source): Parts<Bpe> {
  const definition = yield* define(source)
  const bpe = new Bpe(Result.getOrThrow(definition), source.config)
  keep(source, bpe)
  return bpe
}

const problem = (file: string, message: string): ReadonlyArray<FileProblem> => [{ file, path: "", message }]

const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("utf8")

const JsonObject = Schema.Record(Schema.String, Schema.Unknown)
const VocabFile = Schema.Record(Schema.String, Schema.Int)

const readJson = <A>(
  { files }: Source,
  file: string,
  schema: Schema.Codec<A, unknown>
): Result.Result<A, ReadonlyArray<FileProblem>> =>
  Result.mapError(
    Schema.decodeResult(Schema.fromJsonString(schema), { errors: "all" })(textOf(files[file])),
    ({ issue }) => problemsOf(issue).map(({ message, path }) => ({ file, path, message }))
  )

// What a `tokenizer.json` holds.
function* define(source: Source): Parts<Result.Result<object, ReadonlyArray<FileProblem>>> {
  if (source.files["tokenizer.json"] !== undefined) return readJson(source, "tokenizer.json", JsonObject)
  const read = readJson(source, "vocab.json", VocabFile)
  if (Result.isFailure(read)) return read
  const vocab = read.success
  const wrong = (message: string) => Result.fail(problem("merges.txt", message))
  yield
  // Checked against each other: a part of either gives other ids for the same text.
  const merges: Array<string> = []
  const made = new Set<string>()
  for (const [i, line] of textOf(source.files["merges.txt"]).split("\n").entries()) {
    if (i % 1024 === 0) yield
    if (line.trim() === "" || line.startsWith("#version")) continue
    const parts = line.trim().split(/[ \t]+/)
    const token = parts.join("")
    if (parts.length !== 2) return wrong(`line ${i + 1} is "${line}", not two tokens with a space between them`)
    if (!Object.hasOwn(vocab, token)) return wrong(`line ${i + 1} makes "${token}", which vocab.json does not have`)
    merges.push(parts.join(" "))
    made.add(token)
  }
  const missing = Object.keys(vocab).find((token) => !isBase(token) && !made.has(token))
  return missing === undefined
    ? Result.succeed(clip({ vocab, merges }))
    : wrong(`no line makes "${missing}" of vocab.json; the file is not complete`)
}

// A single character, at the end of a word or not, or a special token.
const isBase = (token: string) => {
  const text = token.replace(/<\/w>$/, "")
  return [...text].length <= 1 || /^<.+>$/s.test(text)
}

/** The definition that CLIP's vocabulary and merges stand for, as a `tokenizer.json` would hold it. */
const clip = ({ merges, vocab }: {
  readonly vocab: Readonly<Record<string, number>>
  readonly merges: ReadonlyArray<string>
}): object => ({
  version: "1.0",
  added_tokens: ["<|startoftext|>", "<|endoftext|>"].flatMap((content) => {
    const id = vocab[content]
    return id === undefined
      ? []
      : [{ id, content, special: true, normalized: false, lstrip: false, rstrip: false, single_word: false }]
  }),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "NFC" },
      { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
      { type: "Lowercase" }
    ]
  },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      {
        type: "Split",
        pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
        behavior: "Removed",
        invert: true
      },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true }
    ]
  },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    unk_token: "<|endoftext|>",
    continuing_subword_prefix: "",
    end_of_word_suffix: "</w>",
    vocab,
    merges
  }
})
