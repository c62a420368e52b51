/**
 * What to fetch of a repository: a diffusers folder without what Serena does not read, or the one file of weights.
 *
 * Repositories hold the same weights several times: in safetensors and torch's format, for Flax and ONNX, whole and in
 * half precision. Of each network one copy is taken.
 */
import * as Result from "effect/Result"
import { fileSize } from "../../core/Text.ts"

/** A file of a repository, as the hub lists it. */
export interface Listed {
  readonly path: string
  /** In bytes. */
  readonly size: number
}

/** What to fetch: files that make up a folder, or one file. */
export interface Selection<A extends Listed> {
  readonly isFolder: boolean
  readonly files: ReadonlyArray<A>
}

export interface Choice {
  /** How errors name the repository. */
  readonly repository: string
  /** `fp16`, or `onnx` for exported networks; without it the files without a variant. */
  readonly variant: string | undefined
  /** How errors name the choice of a variant: `--variant`. */
  readonly called: string
}

/** A file of weights by the parts of its name. */
interface Weights {
  readonly folder: string
  /** Name without variant, shard and ending. */
  readonly stem: string
  readonly variant: string
  readonly ending: string
  readonly isShard: boolean
}

const weightsName =
  /^(.+?)(-\d{5}-of-\d{5})?(?:\.(fp16|fp32|bf16|fp8|ema_only|non_ema|ema))?(-\d{5}-of-\d{5})?\.(safetensors|bin|ckpt|pth?)$/i
const indexName = /^(.+?)(?:\.([\w-]+))?\.(safetensors|bin)\.index(?:\.([\w-]+))?\.json$/i

const split = (path: string): readonly [folder: string, name: string] => {
  const at = path.lastIndexOf("/")
  return [path.slice(0, Math.max(0, at)), path.slice(at + 1)]
}

const weightsOf = ({ path }: Listed): Weights | undefined => {
  const [folder, name] = split(path)
  const index = indexName.exec(name)
  if (index !== null) {
    const [, stem = "", before, ending = "", after] = index
    return { folder, stem, variant: after ?? before ?? "", ending: ending.toLowerCase(), isShard: true }
  }
  const [, stem, before, variant = "", after, ending = ""] = weightsName.exec(name) ?? []
  return stem === undefined
    ? undefined
    : { folder, stem, variant, ending: ending.toLowerCase(), isShard: (before ?? after) !== undefined }
}

/** Folders of a diffusers repository that Serena reads, with networks and without. */
const networks = ["unet", "vae", "text_encoder", "text_encoder_2"]
const exported = ["unet", "vae_encoder", "vae_decoder", "text_encoder", "text_encoder_2"]
const small = ["tokenizer", "tokenizer_2", "scheduler"]

const isSmall = ({ path, size }: Listed): boolean =>
  /\.(json|txt)$/i.test(path) && !indexName.test(split(path)[1]) && size < 64e6

/** The files to fetch; fails with a clause that says what the user may do. */
export const select = <A extends Listed>(
  files: ReadonlyArray<A>,
  choice: Choice
): Result.Result<Selection<A>, string> => {
  if (choice.variant === "onnx") {
    return onnxFolder(files) ?? Result.fail(`it has no folder of ONNX networks; leave out ${choice.called} onnx`)
  }
  return diffusersFolder(files, choice, "safetensors") ?? single(files, choice, ["safetensors"]) ??
    single(files, choice, ["ckpt", "pt", "pth"]) ?? onnxFolder(files) ?? diffusersFolder(files, choice, "bin") ??
    single(files, choice, ["bin"]) ??
    Result.fail("it has no weights that Serena reads; look for a repository with .safetensors files")
}

const inFolders = <A extends Listed>(files: ReadonlyArray<A>, folders: ReadonlyArray<string>): ReadonlyArray<A> =>
  files.filter(({ path }) => folders.includes(split(path)[0]))

const about = <A extends Listed>(files: ReadonlyArray<A>, folders: ReadonlyArray<string>): ReadonlyArray<A> => [
  ...files.filter(({ path }) => path === "model_index.json"),
  ...inFolders(files, [...folders, ...small]).filter(isSmall)
]

const onnxFolder = <A extends Listed>(files: ReadonlyArray<A>): Result.Result<Selection<A>, string> | undefined => {
  if (!files.some(({ path }) => path === "unet/model.onnx")) return undefined
  const weights = inFolders(files, exported).filter(({ path }) =>
    /^(model\.onnx(_data|\.data)?|weights\.pb)$/.test(split(path)[1])
  )
  return Result.succeed({ isFolder: true, files: [...about(files, exported), ...weights] })
}

const diffusersFolder = <A extends Listed>(
  files: ReadonlyArray<A>,
  { called, variant = "" }: Choice,
  format: "safetensors" | "bin"
): Result.Result<Selection<A>, string> | undefined => {
  if (!files.some(({ path }) => path === "model_index.json")) return undefined
  const copies = networks.flatMap((folder) => {
    const all = inFolders(files, [folder]).flatMap((file) => {
      const weights = weightsOf(file)
      return weights === undefined ? [] : [{ file, weights }]
    })
    const safe = all.filter(({ weights }) => weights.ending === "safetensors")
    return [{ folder, all: safe.length > 0 ? safe : all.filter(({ weights }) => weights.ending === "bin") }]
  }).filter(({ all }) => all.length > 0)
  if (!copies.some(({ all, folder }) => folder === "unet" && all[0]?.weights.ending === format)) return undefined
  const variants = [...new Set(copies.flatMap(({ all }) => all.map(({ weights }) => weights.variant)))].filter(named)
  if (named(variant) && !variants.includes(variant)) return Result.fail(noVariant(variant, variants, called))
  // A network without the variant comes as it is, as in diffusers.
  const weights = copies.flatMap(({ all }) => {
    const wanted = [variant, "", "fp16", ...variants].find((name) =>
      all.some(({ weights }) => weights.variant === name)
    )
    return oneCopy(all.filter(({ weights }) => weights.variant === wanted))
  })
  return Result.succeed({ isFolder: true, files: [...about(files, networks), ...weights] })
}

const named = (variant: string): boolean => variant !== ""

const noVariant = (variant: string, variants: ReadonlyArray<string>, called: string): string =>
  variants.length === 0
    ? `it has no variant ${variant}, and no other; leave out ${called}`
    : `it has no variant ${variant}, but ${variants.join(", ")}; choose one, or leave out ${called}`

interface Copy<A> {
  readonly file: A
  readonly weights: Weights
}

// Whole before in shards; shards come with their index.
const oneCopy = <A>(copies: ReadonlyArray<Copy<A>>): ReadonlyArray<A> => {
  const whole = copies.find(({ weights }) => !weights.isShard)
  return whole === undefined ? copies.map(({ file }) => file) : [whole.file]
}

const single = <A extends Listed>(
  files: ReadonlyArray<A>,
  { called, repository, variant = "" }: Choice,
  endings: ReadonlyArray<string>
): Result.Result<Selection<A>, string> | undefined => {
  const isFolder = files.some(({ path }) => path === "model_index.json")
  const groups = new Map<string, Array<Copy<A>>>()
  for (const file of files) {
    const weights = weightsOf(file)
    const isPart = isFolder &&
      /^(safety_checker|image_encoder|transformer|text_encoder_3|prior)$/.test(weights?.folder ?? "")
    if (weights === undefined || isPart || !endings.includes(weights.ending)) continue
    if (isFolder && networks.includes(weights.folder)) continue
    const key = `${weights.folder}/${weights.stem}`
    groups.set(key, [...groups.get(key) ?? [], { file, weights }])
  }
  const first = [...groups.values()][0]
  if (first === undefined) return undefined
  if (groups.size === 1) {
    const variants = [...new Set(first.map(({ weights }) => weights.variant))]
    if (named(variant) && !variants.includes(variant)) {
      return Result.fail(noVariant(variant, variants.filter(named), called))
    }
    const wanted = named(variant) ? variant : variants.includes("") || variants.length !== 1 ? "" : variants[0]
    const copies = first.filter(({ weights }) => weights.variant === wanted)
    if (copies.length > 0) {
      const chosen = oneCopy(copies)
      return Result.succeed({ isFolder: chosen.length > 1, files: chosen })
    }
  }
  const names = [...groups.values()].flat().filter(({ weights }) => !weights.isShard).map(({ file }) => file)
  const list = names.slice(0, mostListed).map(({ path, size }) => `  ${repository}/${path}  ${fileSize(size)}`)
  const more = names.length > mostListed ? [`  and ${names.length - mostListed} more`] : []
  return Result.fail([`it has several files of weights; name one of them:`, ...list, ...more].join("\n"))
}

const mostListed = 40

/** Names that say nothing about the model: the repository's name takes their place. */
const nameless = /^(diffusion_pytorch_model|pytorch_model|model|pytorch_lora_weights|adapter_model|learned_embeds)\b/i

/** The name to save a repository's single file by. */
export const fileName = (repository: string, path: string): string => {
  const [, name] = split(path)
  const own = split(repository)[1]
  return nameless.test(name) ? name.replace(nameless, () => own) : name
}
