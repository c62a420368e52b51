/**
 * Extra networks: tags like `<lora:name:0.5>` that name a network and are not part of the prompt
 * (stable-diffusion-webui 1.10.1).
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"

/** A tag as it was read: `<kind:argument:key=argument>`. */
export interface ExtraNetwork {
  /** The word after `<`: `lora`, `hypernet`, or an unknown word. */
  readonly kind: string
  readonly positional: ReadonlyArray<string>
  readonly named: ReadonlyMap<string, string>
}

/** A text without its tags, and the tags in their order. */
export interface Extracted {
  readonly text: string
  readonly networks: ReadonlyArray<ExtraNetwork>
}

const tagStart = /<([\p{L}\p{N}_]+):/uy

/** Takes the tags out of a prompt. White space around them stays. */
export const extract = (prompt: string): Extracted => {
  const networks: Array<ExtraNetwork> = []
  const kept: Array<string> = []
  let from = 0
  for (let at = prompt.indexOf("<"); at !== -1; at = prompt.indexOf("<", at)) {
    tagStart.lastIndex = at
    const kind = tagStart.exec(prompt)?.[1]
    if (kind === undefined) {
      at++
      continue
    }
    const begin = tagStart.lastIndex
    const end = prompt.indexOf(">", begin)
    if (end === -1) break
    if (end === begin) {
      at = end
      continue
    }
    networks.push({ kind, ...readArguments(prompt.slice(begin, end)) })
    kept.push(prompt.slice(from, at))
    from = at = end + 1
  }
  kept.push(prompt.slice(from))
  return { text: kept.join(""), networks }
}

// An argument with more than one "=" has no name.
const readArguments = (text: string): Pick<ExtraNetwork, "named" | "positional"> => {
  const positional: Array<string> = []
  const named = new Map<string, string>()
  for (const argument of text.split(":")) {
    const [key = "", value, ...more] = argument.split("=")
    if (value === undefined || more.length > 0) positional.push(argument)
    else named.set(key, value)
  }
  return { positional, named }
}

/** A tag whose arguments are not what its kind takes. */
export class InvalidExtraNetwork extends Schema.TaggedError<InvalidExtraNetwork>()("InvalidExtraNetwork", {
  tag: Schema.String,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The prompt's ${this.tag} cannot be used: ${this.reason}. Write it like <lora:name:0.8> or remove it.`
  }
}

/** `<lora:file:te:unet:dyn>`. */
export interface Lora {
  /** File name without its extension, or the alias in the file. */
  readonly name: string
  readonly textEncoderWeight: number
  readonly networkWeight: number
  /** Rank to which it is cut; absent for the whole. */
  readonly dynamicRank: number | undefined
}

/** `<hypernet:name:weight>`. */
export interface Hypernetwork {
  readonly name: string
  readonly weight: number
}

/**
 * Reads a `lora` tag. Weights are 1 unless given, the network's is the text encoder's unless given, and named arguments
 * win.
 */
export const lora = (network: ExtraNetwork): Result.Result<Lora, InvalidExtraNetwork> =>
  Result.gen(function*() {
    const textEncoderWeight = yield* number(network, "te", 1, 1)
    return {
      name: yield* nameOf(network),
      textEncoderWeight,
      networkWeight: yield* number(network, "unet", 2, textEncoderWeight),
      dynamicRank: yield* rank(network)
    }
  })

/** Reads a `hypernet` tag. */
export const hypernetwork = (network: ExtraNetwork): Result.Result<Hypernetwork, InvalidExtraNetwork> =>
  Result.gen(function*() {
    return { name: yield* nameOf(network), weight: yield* number(network, "weight", 1, 1) }
  })

/** The tag as it can be written again. */
export const print = ({ kind, named, positional }: ExtraNetwork): string =>
  `<${[kind, ...positional, ...Array.from(named, ([key, value]) => `${key}=${value}`)].join(":")}>`

const invalid = (network: ExtraNetwork, reason: string) =>
  Result.fail(new InvalidExtraNetwork({ tag: print(network), reason }))

const nameOf = (network: ExtraNetwork): Result.Result<string, InvalidExtraNetwork> => {
  const [name = ""] = network.positional
  return name === "" ? invalid(network, "it names no file") : Result.succeed(name)
}

const decimal = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/

const number = (
  network: ExtraNetwork,
  key: string,
  place: number,
  otherwise: number
): Result.Result<number, InvalidExtraNetwork> => {
  const text = network.named.get(key) ?? network.positional[place]
  if (text === undefined) return Result.succeed(otherwise)
  const value = Number(text)
  return decimal.test(text) && Number.isFinite(value)
    ? Result.succeed(value)
    : invalid(network, `"${text}" is not a number`)
}

const rank = (network: ExtraNetwork): Result.Result<number | undefined, InvalidExtraNetwork> => {
  const text = network.named.get("dyn") ?? network.positional[3]
  if (text === undefined) return Result.succeed(undefined)
  return /^\s*\+?\d{1,9}\s*$/.test(text)
    ? Result.succeed(Number(text))
    : invalid(network, `"${text}" is not a rank, which is a whole number`)
}
