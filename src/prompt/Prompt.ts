/**
 * The prompt language of stable-diffusion-webui 1.10.1, from a request's text to what conditioning needs.
 *
 * Comments are cut, extra networks taken out, `AND` parts split, and each part unrolled into the texts of the run.
 * Attention is read later, text by text: see `Encoding`. Nothing here fails: what fits nowhere is text.
 */
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

/** The prompts of a batch. */
export interface PromptBatch {
  readonly prompts: ReadonlyArray<Prompt>
  /** The networks that count: those of the first prompt. */
  readonly networks: ReadonlyArray<ExtraNetworks.ExtraNetwork>
  /** Every schedule of the batch once, for parts of equal text share it: each is encoded in a call of its own. */
  readonly schedules: ReadonlyArray<PromptSchedule.PromptSchedule>
}

/** The negative prompts of a batch. */
export interface NegativePromptBatch {
  readonly prompts: ReadonlyArray<NegativePrompt>
  /** Every schedule of the batch once. */
  readonly schedules: ReadonlyArray<PromptSchedule.PromptSchedule>
}

export interface ParseOptions extends PromptSchedule.ScheduleOptions {
  /** Whether comments are cut (`enable_prompt_comments`); true when left out. */
  readonly comments?: boolean | undefined
}

/** Reads a prompt, its styles merged. */
export const parse = (text: string, options: ParseOptions): Prompt => read(text, options, schedules(options).get)

/** Reads a negative prompt. */
export const parseNegative = (text: string, options: ParseOptions): NegativePrompt =>
  readNegative(text, options, schedules(options).get)

/** Reads the prompts of a batch. */
export const parseBatch = (texts: ReadonlyArray<string>, options: ParseOptions): PromptBatch => {
  const { all, get } = schedules(options)
  const prompts = texts.map((text) => read(text, options, get))
  return { prompts, networks: prompts[0]?.networks ?? [], schedules: all() }
}

/** Reads the negative prompts of a batch. */
export const parseNegativeBatch = (texts: ReadonlyArray<string>, options: ParseOptions): NegativePromptBatch => {
  const { all, get } = schedules(options)
  const prompts = texts.map((text) => readNegative(text, options, get))
  return { prompts, schedules: all() }
}

type Schedules = (text: string) => PromptSchedule.PromptSchedule

const read = (source: string, options: ParseOptions, schedule: Schedules): Prompt => {
  const text = withoutComments(source, options)
  const { networks, text: words } = ExtraNetworks.extract(text)
  const parts = Composition.split(words).map(({ text, weight }) => ({ weight, schedule: schedule(text) }))
  return { text, networks, parts }
}

const readNegative = (source: string, options: ParseOptions, schedule: Schedules): NegativePrompt => {
  const text = withoutComments(source, options)
  return { text, schedule: schedule(text) }
}

const withoutComments = (text: string, { comments = true }: ParseOptions) => comments ? Comments.strip(text) : text

// Schedules that are made once for each text.
const schedules = (options: PromptSchedule.ScheduleOptions) => {
  const made = new Map<string, PromptSchedule.PromptSchedule>()
  const get: Schedules = (text) => {
    const known = made.get(text)
    if (known !== undefined) return known
    const schedule = PromptSchedule.make(text, options)
    made.set(text, schedule)
    return schedule
  }
  return { get, all: () => Array.from(made.values()) }
}
