/**
 * The prompts of a request: styles merged, comments cut, blanks trimmed, extra networks looked for.
 */
import * as Result from "effect/Result"
import * as Infotext from "../processing/Infotext.ts"
import type { Limits } from "../processing/Limits.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Processing } from "../processing/Processing.ts"
import * as ExtraNetworks from "../prompt/ExtraNetworks.ts"
import * as Prompt from "../prompt/Prompt.ts"
import * as Styles from "../prompt/Styles.ts"
import type { PlanProblem, Problems } from "./Problems.ts"

/** Styles, those that a request names at least, and what is wrong with their file. */
export interface StyleFacts {
  readonly styles: ReadonlyArray<Styles.PromptStyle>
  readonly problems: ReadonlyArray<string>
}

/** The prompts of both passes, as infotexts show them and as they are read. */
export interface PlannedPrompts {
  readonly first: Styles.PromptPair
  /** Absent without a second pass. */
  readonly hires: Styles.PromptPair | undefined
  /** Whether brackets give words more or less weight. */
  readonly usesBrackets: boolean
  readonly warnings: ReadonlyArray<string>
  readonly problems: Problems
}

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
  usesBrackets: false,
  warnings: [],
  problems: []
})

/** Most tags of a prompt that are named. */
const mostNamed = 20

/** Merges styles, cuts comments, trims blanks, and sees that no extra network is asked for. */
export const planPrompts = (
  processing: Processing,
  { problems: unreadable, styles }: StyleFacts,
  opts: OptionsSnapshot,
  limits: Limits
): PlannedPrompts => {
  const known = new Set(styles.map(({ name }) => name))
  const unknown = processing.styles.filter((name) => !known.has(name) && name !== "None")
  const problems: Array<PlanProblem> = []
  const warnings = [...unreadable, ...unknown.map((name) => `No style is named "${name}": it was left out.`)]

  // Tags are words in negative prompts, and are reported once where both passes have them: then there is no path.
  const bare = (path: string | undefined, text: string): string => {
    const bare = Infotext.trimmed(Prompt.withoutComments(text, { comments: opts.enable_prompt_comments }))
    if (path === undefined || processing.disable_extra_networks) return bare
    const { networks } = ExtraNetworks.extract(bare)
    const unknown = networks.filter(({ kind }) => !isExtraNetwork(kind))
    for (const network of unknown.slice(0, mostNamed)) {
      warnings.push(`Unknown tag \`${ExtraNetworks.print(network)}\` removed from the prompt.`)
    }
    if (unknown.length > mostNamed) {
      warnings.push(`${unknown.length - mostNamed} more unknown tags removed from the prompt.`)
    }
    for (const network of networks.filter(({ kind }) => isExtraNetwork(kind)).slice(0, mostNamed)) {
      problems.push({
        path,
        message:
          `${ExtraNetworks.print(network)} asks for an extra network, and those are not supported; take it out, ` +
          "or set disable_extra_networks"
      })
    }
    return bare
  }
  const styled = (pair: Styles.PromptPair, path: string | undefined): Styles.PromptPair => {
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
    return { prompt: bare(path, prompt), negativePrompt: bare(undefined, negativePrompt) }
  }

  const { first: asked, hires: askedHires } = written(processing)
  const first = styled(asked, "prompt")
  const hires = askedHires && styled(askedHires, askedHires.isOwn ? "hr_prompt" : undefined)
  return {
    first,
    hires,
    // Checks for brackets of any purpose, like the webui. Only some kinds of emphasis read the other signs.
    usesBrackets: [first, hires].some((pair) => /[([\\]|BREAK/.test(`${pair?.prompt}${pair?.negativePrompt}`)),
    warnings,
    problems
  }
}

const isExtraNetwork = (kind: string): boolean => ["lora", "lyco", "hypernet"].includes(kind)
