/**
 * CLIP's byte-level BPE: text to token ids, and the special ids that frame them.
 *
 * Special ids are the folder's own. A folder without `tokenizer.json`, as optimum exports many, is read from its
 * `vocab.json` and `merges.txt`.
 */
import { Tokenizer as Bpe } from "@huggingface/tokenizers"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type { Problem } from "../core/Problem.ts"
import { InvalidModelFolder } from "../model/ModelError.ts"
import type { Vocabulary } from "../prompt/Chunks.ts"
import { readJson } from "./configFiles.ts"
import { readText } from "./folderFiles.ts"
import type { ModelFolder, TextEncoderFolder } from "./ModelFolder.ts"

const JsonObject = Schema.Record(Schema.String, Schema.Unknown)
const VocabFile = Schema.Record(Schema.String, Schema.Int)

/** The vocabulary of one of a model folder's text encoders. */
export const read = Effect.fnUntraced(function*(
  model: ModelFolder,
  encoder: TextEncoderFolder
): Effect.fn.Return<Vocabulary, InvalidModelFolder, FileSystem.FileSystem | Path.Path> {
  const path = yield* Path.Path
  const fs = yield* FileSystem.FileSystem
  const { config, folder, part } = encoder.tokenizer
  const invalid = (file: string) => (problems: ReadonlyArray<Problem>) =>
    new InvalidModelFolder({
      folder: model.folder,
      problems: problems.map(({ message, path }) => ({
        path: `${part}/${file}${path === "" ? "" : `: ${path}`}`,
        message
      }))
    })

  const whole = path.join(folder, "tokenizer.json")
  const definition = (yield* Effect.orElseSucceed(fs.exists(whole), () => false))
    ? yield* Effect.mapError(readJson(whole, JsonObject), invalid("tokenizer.json"))
    : clip(yield* readVocabulary(folder, invalid))

  return yield* Effect.try({
    try: () => make(new Bpe(definition, config), encoder),
    catch: (cause) =>
      invalid("tokenizer.json")([{ path: "", message: cause instanceof Error ? cause.message : String(cause) }])
  })
})

const make = (bpe: Bpe, { reading, tokenizer }: TextEncoderFolder): Vocabulary => {
  const id = (token: string | { readonly content: string }): number => {
    const content = typeof token === "string" ? token : token.content
    const found = bpe.token_to_id(content)
    if (found === undefined) throw new Error(`the special token ${content} is not in the vocabulary`)
    return found
  }
  const encode = (text: string) => bpe.encode(text, { add_special_tokens: false }).ids
  const start = id(tokenizer.config.bos_token)
  const end = id(tokenizer.config.eos_token)
  // OpenAI's CLIP was trained with the end token after a text. OpenCLIP was trained with 0; the webui always pads
  // with it, though many folders of Stable Diffusion 2 name the end token.
  const named = tokenizer.config.pad_token ? id(tokenizer.config.pad_token) : end
  return {
    encode,
    comma: encode(",").at(-1) ?? -1,
    start,
    end,
    padding: reading.padding === "end" ? end : named === end ? reading.padding : named
  }
}

// `vocab.json` and `merges.txt`, checked against each other: a part of either gives other ids for the same text.
const readVocabulary = Effect.fnUntraced(function*(
  folder: string,
  invalid: (file: string) => (problems: ReadonlyArray<Problem>) => InvalidModelFolder
) {
  const path = yield* Path.Path
  const vocab = yield* Effect.mapError(readJson(path.join(folder, "vocab.json"), VocabFile), invalid("vocab.json"))
  const wrong = (message: string) => invalid("merges.txt")([{ path: "", message }])
  const text = yield* Effect.mapError(readText(path.join(folder, "merges.txt")), wrong)
  const merges: Array<string> = []
  const made = new Set<string>()
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#version")) continue
    const parts = line.trim().split(/[ \t]+/)
    const token = parts.join("")
    if (parts.length !== 2) return yield* wrong(`line ${i + 1} is "${line}", not two tokens with a space between them`)
    if (!Object.hasOwn(vocab, token)) {
      return yield* wrong(`line ${i + 1} makes "${token}", which vocab.json does not have`)
    }
    merges.push(parts.join(" "))
    made.add(token)
  }
  const missing = Object.keys(vocab).find((token) => !isBase(token) && !made.has(token))
  if (missing !== undefined) return yield* wrong(`no line makes "${missing}" of vocab.json; the file is not complete`)
  return { vocab, merges }
})

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
