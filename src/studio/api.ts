/**
 * The server's `/v1`, as the page uses it: the typed client, with promises at the edge, and events by the browser's own
 * reader, which tells when the connection is lost.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Client from "../client/Client.ts"
import type { Model, PngInfo, Sampler, Scheduler, Style, Upscaler } from "../contract/Catalogue.ts"
import type { AskedRequest, RunEvent, RunImage } from "../contract/Run.ts"
import { problemsOf } from "../core/Problem.ts"
import type { Limits } from "../processing/Limits.ts"
import { InvalidOptions, OptionsPatch, type OptionsSnapshot } from "../processing/Options.ts"
import * as Processing from "../processing/Processing.ts"

export type {
  AskedRequest,
  Limits,
  Model,
  OptionsSnapshot,
  PngInfo,
  RunEvent,
  RunImage,
  Sampler,
  Scheduler,
  Style,
  Upscaler
}

export interface Problem {
  readonly path: string
  readonly message: string
}

/** What the server, or the way to it, answered instead of a result: problems of fields, or a sentence. */
export class ApiFailure extends Error {
  readonly tag: string
  readonly problems: ReadonlyArray<Problem>
  readonly status: number
  constructor(tag: string, message: string, problems: ReadonlyArray<Problem> = [], status = 0) {
    super(message)
    this.tag = tag
    this.problems = problems
    this.status = status
  }
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isProblem = (value: unknown): value is Problem =>
  isRecord(value) && typeof value["path"] === "string" && typeof value["message"] === "string"

const text = (value: unknown): string => typeof value === "string" ? value : ""

const number = (value: unknown): string => typeof value === "number" ? String(value) : "some"

/** The fields whose values the errors of names are about. */
const fieldOf: Readonly<Record<string, string>> = {
  UnknownSampler: "sampler_name",
  UnknownScheduler: "scheduler",
  UnknownUpscaler: "hr_upscaler",
  ModelNotFound: "sd_model_checkpoint"
}

const sentence = (tag: string, error: Readonly<Record<string, unknown>>, status: number): string => {
  if (text(error["message"]) !== "") return text(error["message"])
  switch (tag) {
    case "InvalidProcessing":
    case "InvalidOptions":
    case "InvalidRequest":
      return "Some values cannot be used. Correct the fields that are marked."
    case "QueueFull":
      return `${number(error["waiting"])} requests wait already, and no more may. Try again in ${
        number(error["retryAfter"])
      } seconds.`
    case "ShuttingDown":
      return "The server is shutting down and begins nothing new. Try again when it is back."
    case "TooLarge":
      return `${text(error["what"])} is over the limit of ${number(error["limit"])} bytes. Use a smaller picture.`
    case "ModelNotFound":
      return `No model is named "${text(error["model"])}". Choose another one.`
    case "UnknownSampler":
      return `No sampler is named "${text(error["sampler"])}". Choose another one.`
    case "UnknownScheduler":
      return `No schedule is named "${text(error["scheduler"])}". Choose another one.`
    case "UnknownUpscaler":
      return `No upscaler is named "${text(error["upscaler"])}". Choose another one.`
    case "ImageCodecError":
      return `The picture cannot be read: ${text(error["reason"])}. Use a whole PNG, JPEG or WebP file.`
    case "SaveError":
      return `Nothing was saved in ${text(error["path"])}: ${text(error["reason"])}.`
    case "RunNotFound":
      return "The server does not know this run any more. Generate it again."
    case "Unauthorized":
      return "The server wants to know who asks. Reload the page and sign in."
    default:
      return status >= 500
        ? "The server made a mistake. Its log says more; try again."
        : `The server refused the request (status ${status}). Reload the page and try again.`
  }
}

/** An error of the server, from its JSON. */
export const failureOf = (error: unknown, status = 0, message = ""): ApiFailure => {
  const fields = isRecord(error) ? error : {}
  const tag = text(fields["_tag"])
  const said = message === "" ? sentence(tag, fields, status) : message
  const listed = fields["problems"]
  const field = fieldOf[tag]
  const problems = Array.isArray(listed)
    ? listed.filter(isProblem)
    : field === undefined
    ? []
    : [{ path: field, message: said }]
  return new ApiFailure(tag, said, problems, status)
}

const client = Effect.runPromise(Client.make({ url: new URL(".", location.href).pathname }))

// A promise of what the client is asked for; what went wrong has a sentence, and the fields that it is about.
const ask = async <A, E>(request: (client: Client.Client) => Effect.Effect<A, E>): Promise<A> => {
  const exit = await Effect.runPromiseExit(request(await client))
  if (Exit.isSuccess(exit)) return exit.value
  throw failureOf(Option.getOrUndefined(Cause.findErrorOption(exit.cause)))
}

const decodePatch = Schema.decodeUnknownEffect(OptionsPatch, { errors: "all" })

export const submit = (request: Readonly<Record<string, unknown>>) =>
  ask((client) =>
    client.limits.pipe(
      Effect.flatMap((limits) => Processing.decode(request, limits)),
      Effect.flatMap((processing) => client.submit(processing))
    )
  )
export const listRuns = () => ask(({ list }) => list({ limit: 100 }))
export const getRun = (id: string) => ask(({ run }) => run(id))
export const cancel = (id: string) => ask((client) => client.cancel(id))
export const interrupt = (id: string) => ask((client) => client.interrupt(id))
export const skip = (id: string) => ask((client) => client.skip(id))

export const models = () => ask((client) => client.models)
export const samplers = () => ask((client) => client.samplers)
export const schedulers = () => ask((client) => client.schedulers)
export const upscalers = () => ask((client) => client.upscalers)
export const styles = () => ask((client) => client.styles)
export const limits = () => ask((client) => client.limits)
export const options = () => ask((client) => client.options)
export const setOptions = (patch: Readonly<Record<string, unknown>>) =>
  ask((client) =>
    decodePatch(patch).pipe(
      Effect.mapError(({ issue }) => new InvalidOptions({ problems: problemsOf(issue) })),
      Effect.flatMap((patch) => client.setOptions(patch))
    )
  )
export const pngInfo = async (file: Blob) => {
  const bytes = new Uint8Array(await file.arrayBuffer())
  return ask((client) => client.pngInfo(bytes))
}

const eventNames = ["queued", "step", "image", "done", "failed", "cancelled"] as const

export interface Listener {
  readonly event: (event: RunEvent) => void
  /** The connection is lost (and tried again), or there again. */
  readonly lost: (isLost: boolean) => void
  /** The server has no events of this run. */
  readonly gone: () => void
}

/** Milliseconds until a closed connection is looked after. */
const patience = 1000

/**
 * Follows a run to its end.
 *
 * The browser connects again by itself, unless the server refused or the page is left: then the run is asked for.
 */
export const follow = (id: string, listener: Listener): void => {
  const source = new EventSource(`v1/runs/${encodeURIComponent(id)}/events?previews=true`)
  source.addEventListener("open", () => listener.lost(false))
  source.addEventListener("error", () => {
    listener.lost(true)
    if (source.readyState === EventSource.CLOSED) setTimeout(() => void lookAfter(id, listener), patience)
  })
  for (const name of eventNames) {
    source.addEventListener(name, ({ data }: MessageEvent<string>) => {
      const event: RunEvent = JSON.parse(data)
      if (event._tag === "Done" || event._tag === "Failed" || event._tag === "Cancelled") source.close()
      listener.event(event)
    })
  }
}

const lookAfter = async (id: string, listener: Listener) => {
  try {
    await getRun(id)
    follow(id, listener)
  } catch (error) {
    if (error instanceof ApiFailure && error.tag === "RunNotFound") listener.gone()
    else setTimeout(() => void lookAfter(id, listener), 2 * patience)
  }
}
