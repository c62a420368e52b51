/**
 * The prompts of a request: styles merged, comments cut, dynamic prompts expanded, blanks trimmed, tags of extra
 * networks read.
 */
import * as Result from "effect/Result"
import type * as Seed from "../core/Seed.ts"
import * as Infotext from "../processing/Infotext.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import * as DynamicPrompt from "../prompt/DynamicPrompt.ts"
import * as ExtraNetworks from "../prompt/ExtraNetworks.ts"
import * as Prompt from "../prompt/Prompt.ts"
import * as Styles from "../prompt/Styles.ts"
import type { PlanProblem, Problems } from "./Problems.ts"

/** Styles, those that a request names at least, and what is wrong with their file. */
export interface StyleFacts {
  readonly styles: ReadonlyArray<Styles.PromptStyle>
  readonly problems: ReadonlyArray<string>
}

/** What an image draws its texts with. */
export interface Drawing {
  readonly seed: Seed.Seed
  readonly lookup: DynamicPrompt.Lookup
}

/** The prompts of both passes, as infotexts show them and as they are read. */
export interface PlannedPrompts {
  readonly first: Styles.PromptPair
  /** Absent without a second pass. */
  readonly hires: Styles.PromptPair | undefined
  /** The texts that the first pass's were drawn from, where they are others. */
  readonly templates: Partial<Styles.PromptPair>
  /** LoRAs that the tags of each pass ask for. They stay in the prompts. */
  readonly loras: PassLoras
  /** Whether brackets give words more or less weight. */
  readonly usesBrackets: boolean
  readonly warnings: ReadonlyArray<string>
  readonly problems: Problems
}

export interface PassLoras {
  readonly first: ReadonlyArray<ExtraNetworks.Lora>
  readonly hires: ReadonlyArray<ExtraNetworks.Lora>
}

const noLoras: PassLoras = { first: [], hires: [] }

interface WrittenPrompts {
  readonly first: Styles.PromptPair
  readonly hires: (Styles.PromptPair & { readonly isOwn: boolean }) | undefined
}

// The prompts as they were written; those of the second pass fall back on the first's.
const written = (processing: Processing): WrittenPrompts => {
  const { negative_prompt: negativePrompt, prompt } = processing
  const first = { prompt, negativePrompt }
  if (processing._tag !== "Txt2Img" || !processing.enable_hr) return { first, hires: undefined }
  const { hr_negative_prompt, hr_prompt } = processing
  return {
    first,
    hires: {
      prompt: isBlank(hr_prompt) ? prompt : hr_prompt,
      negativePrompt: isBlank(hr_negative_prompt) ? negativePrompt : hr_negative_prompt,
      isOwn: !isBlank(hr_prompt)
    }
  }
}

const isBlank = (text: string): boolean => Infotext.trimmed(text) === ""

/** The prompts as they were written: another server reads them. */
export const writtenPrompts = (processing: Processing): PlannedPrompts => ({
  ...written(processing),
  templates: {},
  loras: noLoras,
  usesBrackets: false,
  warnings: [],
  problems: []
})

/** Most tags of a prompt that are named. */
const mostNamed = 20

// The fields of the texts; what one seed draws for one of them is kept apart from what it draws for the other.
const paths = { prompt: "prompt", negativePrompt: "negative_prompt" } as const

/** The wildcards that a request's prompts and styles name. */
export const wildcardsNamed = (
  processing: Processing,
  { styles }: StyleFacts,
  opts: OptionsSnapshot
): ReadonlyArray<string> => {
  const { first, hires } = written(processing)
  const texts = [first, hires].flatMap((pair) => {
    const merged = pair && Styles.apply(styles, processing.styles, pair)
    return merged === undefined || Result.isFailure(merged)
      ? []
      : [merged.success.prompt, merged.success.negativePrompt]
  })
  return texts.flatMap((text) => {
    const template = DynamicPrompt.parse(Prompt.withoutComments(text, { comments: opts.enable_prompt_comments }))
    return Result.isFailure(template) ? [] : DynamicPrompt.wildcardsOf(template.success).map(({ pattern }) => pattern)
  })
}

/** Merges styles, cuts comments, draws what is dynamic, trims blanks, and reads the tags of extra networks. */
export const planPrompts = (
  processing: Processing,
  { problems: unreadable, styles }: StyleFacts,
  opts: OptionsSnapshot,
  limits: Limits,
  drawing?: Drawing
): PlannedPrompts => {
  const known = new Set(styles.map(({ name }) => name))
  const unknown = processing.styles.filter((name) => !known.has(name) && name !== "None")
  const problems: Array<PlanProblem> = []
  const warnings = [...unreadable, ...unknown.map((name) => `No style is named "${name}": it was left out.`)]

  const withoutComments = (text: string): string =>
    Infotext.trimmed(Prompt.withoutComments(text, { comments: opts.enable_prompt_comments }))
  const lorasOf = ({ prompt }: Styles.PromptPair): ReadonlyArray<ExtraNetworks.Lora> =>
    processing.disable_extra_networks ? [] : ExtraNetworks.extract(prompt).networks
      .filter(({ kind }) => isLora(kind))
      .flatMap((network) => Result.getOrElse(Result.map(ExtraNetworks.lora(network), (lora) => [lora]), () => []))
  const report = ({ prompt }: Styles.PromptPair, path: string): void => {
    if (processing.disable_extra_networks) return
    const { networks } = ExtraNetworks.extract(prompt)
    const others = networks.filter(({ kind }) => !isLora(kind))
    for (const network of others.slice(0, mostNamed)) {
      const tag = ExtraNetworks.print(network)
      warnings.push(
        network.kind === "hypernet"
          ? `Hypernetworks are not supported: \`${tag}\` was removed from the prompt.`
          : `Unknown tag \`${tag}\` removed from the prompt.`
      )
    }
    if (others.length > mostNamed) {
      warnings.push(`${others.length - mostNamed} more unknown tags removed from the prompt.`)
    }
    const invalid = networks.filter(({ kind }) => isLora(kind)).map(ExtraNetworks.lora).filter(Result.isFailure)
    for (const { failure: { reason, tag } } of invalid.slice(0, mostNamed)) {
      problems.push({ path, message: `${tag} cannot be used: ${reason}. Write it like <lora:name:0.8> or remove it` })
    }
  }
  const styled = (pair: Styles.PromptPair): Styles.PromptPair => {
    const merged = Styles.apply(styles, processing.styles, pair)
    if (Result.isFailure(merged)) {
      problems.push({ path: "styles", message: merged.failure.message })
      return pair
    }
    const { negativePrompt, prompt } = merged.success
    const bytes = Math.max(Buffer.byteLength(prompt), Buffer.byteLength(negativePrompt))
    if (bytes > limits.max_prompt_bytes) {
      problems.push({
        path: "styles",
        message: `with them a prompt has ${bytes} bytes, over the limit of ${limits.max_prompt_bytes}`
      })
    }
    return { prompt: withoutComments(prompt), negativePrompt: withoutComments(negativePrompt) }
  }
  const drawnText = (pair: Styles.PromptPair, kind: keyof Styles.PromptPair, prefix: "" | "hr_"): string => {
    const text = pair[kind]
    if (drawing === undefined || !DynamicPrompt.isDynamic(text)) return text
    const path = `${prefix}${paths[kind]}`
    const refuse = (found: ReadonlyArray<DynamicPrompt.InvalidTemplate>): string => {
      const place = processing.styles.length === 0 ? "" : "with its styles, "
      for (const { message } of found) problems.push({ path, message: `${place}${message}` })
      return text
    }
    const template = DynamicPrompt.parse(text)
    if (Result.isFailure(template)) return refuse([template.failure])
    const { lookup, seed } = drawing
    const unusable = DynamicPrompt.problemsOf(template.success, lookup)
    if (unusable.length > 0) return refuse(unusable)
    const longest = limits.max_prompt_bytes
    const expanded = DynamicPrompt.expand(template.success, { seed, stream: paths[kind], lookup, longest })
    if (Result.isFailure(expanded)) return refuse([expanded.failure])
    const bytes = Buffer.byteLength(expanded.success)
    if (bytes > longest) {
      problems.push({ path, message: `what it becomes has ${bytes} bytes, over the limit of ${longest}` })
    }
    return withoutComments(expanded.success)
  }

  const { first: asked, hires: askedHires } = written(processing)
  const templates = styled(asked)
  const first = {
    prompt: drawnText(templates, "prompt", ""),
    negativePrompt: drawnText(templates, "negativePrompt", "")
  }
  // What the second pass has from the first is drawn alike.
  const secondTemplates = askedHires && styled(askedHires)
  const hires = secondTemplates && {
    prompt: secondTemplates.prompt === templates.prompt ? first.prompt : drawnText(secondTemplates, "prompt", "hr_"),
    negativePrompt: secondTemplates.negativePrompt === templates.negativePrompt
      ? first.negativePrompt
      : drawnText(secondTemplates, "negativePrompt", "hr_")
  }
  // What both passes have is reported once. Tags are words in negative prompts.
  report(first, "prompt")
  if (hires !== undefined && askedHires?.isOwn === true) report(hires, "hr_prompt")
  return {
    first,
    hires,
    templates: {
      ...(first.prompt !== templates.prompt && { prompt: templates.prompt }),
      ...(first.negativePrompt !== templates.negativePrompt && { negativePrompt: templates.negativePrompt })
    },
    loras: { first: lorasOf(first), hires: hires === undefined ? [] : lorasOf(hires) },
    // Checks for brackets of any purpose, like the webui. Only some kinds of emphasis read the other signs.
    usesBrackets: [first, hires].some((pair) => /[([\\]|BREAK/.test(`${pair?.prompt}${pair?.negativePrompt}`)),
    warnings,
    problems
  }
}

const isLora = (kind: string): boolean => kind === "lora" || kind === "lyco"
