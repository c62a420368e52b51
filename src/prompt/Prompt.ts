/**
 * The prompt language of stable-diffusion-webui 1.10.1, from a request's text to what conditioning needs.
 *
 * Comments and extra networks are removed, `AND` parts split, and each part unrolled into the texts of the run.
 * Attention is read later, text by text: see `Encoding`. Nothing here fails: everything that is not syntax is text.
 */
import { atOnce, type Parts } from "../core/Work.ts"
import * as Comments from "./Comments.ts"
import * as Composition from "./Composition.ts"
import * as ExtraNetworks from "./ExtraNetworks.ts"
import * as PromptSchedule from "./PromptSchedule.ts"

/** A part of a prompt: guidance adds (prediction - unconditional)·weight·scale for each. */
export interface Part {
  readonly weight: number
  readonly schedule: PromptSchedule.PromptSchedule
}

export interface Prompt {
  /** The text without comments, as infotexts show it. */
  readonly text: string
  readonly networks: ReadonlyArray<ExtraNetworks.ExtraNetwork>
  /** At least one. */
  readonly parts: ReadonlyArray<Part>
}

/** A negative prompt is one text: tags of extra networks and `AND` are words in it. */
export interface NegativePrompt {
  readonly text: string
  readonly schedule: PromptSchedule.PromptSchedule
}

export interface ParseOptions extends PromptSchedule.ScheduleOptions {
  /** Whether comments are cut (`enable_prompt_comments`); true when left out. */
  readonly comments?: boolean | undefined
}

/** Reads a prompt, its styles merged. Parts of equal text share one schedule, so that it is encoded once. */
export const parse = (source: string, options: ParseOptions): Prompt => atOnce(parsing(source, options))

/** `parse` as work that stops after each text of a schedule. */
export function* parsing(source: string, options: ParseOptions): Parts<Prompt> {
  const text = withoutComments(source, options)
  const { networks, text: words } = ExtraNetworks.extract(text)
  const schedules = new Map<string, PromptSchedule.PromptSchedule>()
  const parts: Array<Part> = []
  for (const { text, weight } of Composition.split(words)) {
    const schedule = schedules.get(text) ?? (yield* PromptSchedule.making(text, options))
    schedules.set(text, schedule)
    parts.push({ weight, schedule })
  }
  return { text, networks, parts }
}

/** The number of parts into which `AND` splits a prompt, without reading them; one at least. */
export const countParts = (source: string, options: Pick<ParseOptions, "comments">): number =>
  Composition.split(ExtraNetworks.extract(withoutComments(source, options)).text).length

/** Reads a negative prompt. */
export const parseNegative = (source: string, options: ParseOptions): NegativePrompt =>
  atOnce(parsingNegative(source, options))

/** `parseNegative` as work that stops after each text of the schedule. */
export function* parsingNegative(source: string, options: ParseOptions): Parts<NegativePrompt> {
  const text = withoutComments(source, options)
  return { text, schedule: yield* PromptSchedule.making(text, options) }
}

/** A prompt of either kind as infotexts show it. */
export const withoutComments = (text: string, { comments = true }: Pick<ParseOptions, "comments">) =>
  comments ? Comments.strip(text) : text
