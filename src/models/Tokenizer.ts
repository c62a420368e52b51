/**
 * CLIP's byte-level BPE: text to token ids, and the special ids that frame them.
 *
 * Special ids are the folder's own. A folder without `tokenizer.json`, as optimum exports many, is read from its
 * `vocab.json` and `merges.txt`.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { createHash } from "node:crypto"
import { packageFile } from "../core/packageFile.ts"
import type { Problem } from "../core/Problem.ts"
import type { ClipReading } from "../families/Family.ts"
import { InvalidModelFolder } from "../model/ModelError.ts"
import type { Vocabulary } from "../prompt/Chunks.ts"
import type { TokenizerConfig } from "./configFiles.ts"
import { readText } from "./folderFiles.ts"
import * as tokens from "./tokens.ts"

/** Where a tokenizer's files are, and how its text encoder is filled up. */
export interface Place {
  /** The folder that errors name, and the tokenizer's folder within it. */
  readonly owner: string
  readonly part: string
  readonly folder: string
  readonly config: typeof TokenizerConfig.Type
  readonly padding: ClipReading["padding"]
}

/** CLIP's own vocabulary, which comes with this package: checkpoints have none of their own. */
export const readClip = Effect.fnUntraced(function*(padding: ClipReading["padding"]) {
  const path = yield* Path.Path
  return yield* read({
    owner: path.dirname(clipDir),
    part: path.basename(clipDir),
    folder: clipDir,
    config: { bos_token: "<|startoftext|>", eos_token: "<|endoftext|>", model_max_length: 77 },
    padding
  })
})

const clipDir = packageFile("models", "clip")

/** The vocabulary of a tokenizer's files. */
export const read = Effect.fnUntraced(function*(
  { config, folder, owner, padding, part }: Place
): Effect.fn.Return<Vocabulary, InvalidModelFolder, FileSystem.FileSystem | Path.Path> {
  const path = yield* Path.Path
  const fs = yield* FileSystem.FileSystem
  const invalid = (problems: ReadonlyArray<Problem & { readonly file: string }>) =>
    new InvalidModelFolder({
      folder: owner,
      problems: problems.map(({ file, message, path }) => ({
        path: `${part}/${file}${path === "" ? "" : `: ${path}`}`,
        message
      }))
    })
  const hasDefinition = yield* Effect.orElseSucceed(fs.exists(path.join(folder, "tokenizer.json")), () => false)
  const files: Record<string, Uint8Array> = {}
  for (const file of hasDefinition ? ["tokenizer.json"] : ["vocab.json", "merges.txt"]) {
    const text = yield* Effect.mapError(
      readText(path.join(folder, file)),
      (message) => invalid([{ file, path: "", message }])
    )
    files[file] = inSharedMemory(text)
  }
  const source: tokens.Source = { key: keyOf(config, files), config, files }
  const opened = yield* tokens.open(source)
  return "start" in opened ? make(source, opened, padding) : yield* invalid(opened)
})

// Tokenizers of the same files and configuration are one: most checkpoints share CLIP's.
const keyOf = (config: Place["config"], files: tokens.Source["files"]): string => {
  const hash = createHash("sha256").update(JSON.stringify(config))
  for (const bytes of Object.values(files)) hash.update(bytes)
  return hash.digest("hex")
}

const inSharedMemory = (text: string): Uint8Array => {
  const bytes = Buffer.from(text)
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  return shared
}

const make = (
  source: tokens.Source,
  { comma, end, padding: named, start }: tokens.NamedIds,
  filling: Place["padding"]
): Vocabulary => ({
  // Most negative prompts are empty: that takes no message to the thread.
  encode: (texts) =>
    texts.every((text) => text === "")
      ? Effect.succeed(texts.map(() => []))
      : Effect.map(
        tokens.encode(source, texts),
        ({ ends, ids }) => ends.map((last, i) => ids.subarray(ends[i - 1] ?? 0, last))
      ),
  comma,
  start,
  end,
  // OpenAI's CLIP was trained with the end token after a text. OpenCLIP was trained with 0; the webui always pads
  // with it, though many folders of Stable Diffusion 2 name the end token.
  padding: filling === "end" ? end : named === end ? filling : named
})
