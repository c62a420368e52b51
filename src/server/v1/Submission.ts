/**
 * Submission of a run: from the body of an HTTP request to the queue.
 *
 * All problems are reported together: of values, names, settings and models.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  InvalidRequest,
  type QueueFull,
  type RunsUnavailable,
  type ShuttingDown,
  TooLarge
} from "../../contract/errors.ts"
import { Label, Priority, RunName } from "../../contract/Run.ts"
import { type Problem, problemsOf } from "../../core/Problem.ts"
import { ModelNotFound } from "../../model/ModelError.ts"
import { resolveNames } from "../../planning/names.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { InvalidProcessing } from "../../processing/InvalidProcessing.ts"
import type { Limits } from "../../processing/Limits.ts"
import { Options } from "../../processing/Options.ts"
import * as Processing from "../../processing/Processing.ts"
import { withoutImages } from "../../runs/stored.ts"
import { caller, scopedKey } from "../host/Caller.ts"
import * as JsonText from "../host/JsonText.ts"
import { ModelTitles } from "../host/ModelTitles.ts"
import { isForm } from "../host/MultipartForm.ts"
import * as RequestBody from "../host/RequestBody.ts"
import { type QueuedRun, RunQueue, type SubmitOptions } from "../host/RunQueue.ts"
import { ServerOptions } from "../host/ServerOptions.ts"
import { Settings } from "../host/Settings.ts"
import { readForm } from "./Form.ts"

export type SubmissionError =
  | InvalidProcessing
  | InvalidRequest
  | ModelNotFound
  | QueueFull
  | RunsUnavailable
  | ShuttingDown
  | TooLarge

export class Submission extends Context.Service<Submission, {
  readonly submit: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<QueuedRun, SubmissionError>
  /** Submits the fields of a request that was read already; its images are bytes or base64. */
  readonly submitFields: (fields: unknown) => Effect.Effect<QueuedRun, SubmissionError>
}>()("serena/server/v1/Submission") {
  static readonly layer: Layer.Layer<
    Submission,
    never,
    CommandOptions | RunQueue | ModelTitles | Options | ServerOptions | Settings
  > = Layer.effect(
    Submission,
    Effect.gen(function*() {
      const { limits } = yield* CommandOptions
      const { max_body_bytes } = yield* ServerOptions
      const queue = yield* RunQueue
      const settings = yield* Settings
      const titles = yield* ModelTitles
      const inForce = yield* Options

      // Only a listed model is loaded: a name is never a path.
      const modelNamed = Effect.fnUntraced(function*(written: unknown) {
        if (typeof written !== "string" || written === "") return written
        const model = yield* titles.find(written)
        if (Option.isSome(model)) return model.value.name
        const known = (yield* titles.list).map(({ name }) => name)
        return yield* new ModelNotFound({ model: written, searched: ["the server's models"], known })
      })

      // The overrides that have an effect, under the server's names, and the problems of the others.
      const overridesOf = Effect.fnUntraced(function*(given: unknown) {
        if (!isFields(given)) return { overrides: given ?? undefined, problems: [] }
        const { sd_model_checkpoint, ...others } = given
        const acting = yield* Effect.result(settings.overrides(others))
        const model = yield* modelNamed(sd_model_checkpoint ?? undefined)
        return {
          overrides: {
            ...Result.getOrElse(acting, () => ({})),
            ...(model !== undefined && { sd_model_checkpoint: model })
          },
          problems: Result.isFailure(acting) ? acting.failure.problems.map(within("override_settings")) : []
        }
      })

      const decode = Effect.fnUntraced(function*(body: unknown, wrongFiles: ReadonlyArray<Problem>) {
        if (!isFields(body)) {
          return yield* new InvalidProcessing({ problems: [{ path: "", message: "Expected an object with fields" }] })
        }
        const { idempotency_key, override_settings, priority, requires, save, task_id, ...given } = body
        const { overrides, problems: wrongSettings } = yield* overridesOf(override_settings)
        const fields: Record<string, unknown> = {
          ...given,
          // A request with init images and no tag is an `Img2Img`.
          ...(hasInitImages(given) && { _tag: "Img2Img" }),
          override_settings: isFields(overrides) ? { ...overrides, ...saving(save) } : overrides ?? saving(save)
        }
        const dormant = Processing.dormantFields(fields)
        for (const name of checkpoints) {
          if (name in fields && !dormant.has(name)) fields[name] = yield* modelNamed(fields[name])
        }
        const decoded = yield* Effect.result(Processing.decode(fields, limits, ownNames))
        const problems = [
          ...wrongFiles,
          ...optionProblems({ idempotency_key, priority, requires, save, task_id }),
          ...wrongSettings,
          ...(Result.isFailure(decoded) ? decoded.failure.problems : nameProblems(decoded.success))
        ]
        if (Result.isFailure(decoded) || problems.length > 0) return yield* new InvalidProcessing({ problems })
        const options: SubmitOptions = {
          taskId: typeof task_id === "string" ? task_id : undefined,
          key: typeof idempotency_key === "string" ? idempotency_key : undefined,
          priority: typeof priority === "number" ? priority : undefined,
          labels: Array.isArray(requires) ? requires.map(String) : undefined
        }
        return { processing: decoded.success, options }
      })

      const submitDecoded = Effect.fnUntraced(
        function*(body: unknown, wrongFiles: ReadonlyArray<Problem>, header?: string) {
          const { options, processing } = yield* decode(body, wrongFiles)
          const client = yield* caller
          const { key = header, ...others } = options
          // Wherever it executes, the run has the model that is selected here.
          const { sd_model_checkpoint } = yield* inForce.snapshot
          const selected = yield* titles.ofName(sd_model_checkpoint)
          const { isNew, run } = yield* queue.submit(processing, {
            ...others,
            client,
            model: selected?.name,
            keep: true,
            key: key === undefined ? undefined : scopedKey(client, key)
          })
          if (isNew || Equal.equals(run.request, withoutImages(processing))) return run
          const message = `it was used for another request, the run ${run.id}; take a new key`
          return yield* new InvalidProcessing({ problems: [{ path: "idempotency_key", message }] })
        }
      )

      const submit = Effect.fn("v1.submit")(function*(request: HttpServerRequest.HttpServerRequest) {
        const { fields, problems } = isForm(request)
          ? yield* readForm(request, limits, max_body_bytes)
          : { fields: yield* readJson(request, max_body_bytes, limits), problems: [] }
        return yield* submitDecoded(fields, problems, request.headers["idempotency-key"])
      })
      return Submission.of({ submit, submitFields: (fields) => submitDecoded(fields, []) })
    })
  )
}

/** The body as JSON, with any content type. */
export const readJson = Effect.fnUntraced(
  function*(request: HttpServerRequest.HttpServerRequest, maxBytes: number, limits: Limits): Effect.fn.Return<
    unknown,
    InvalidRequest | TooLarge
  > {
    const body = yield* Effect.mapError(RequestBody.read(request, limits), (fault) =>
      fault === "size"
        ? new TooLarge({ what: "The body", limit: maxBytes })
        : fault === "image"
        ? new TooLarge({ what: "An image", limit: limits.max_image_bytes })
        : new InvalidRequest({ problems: [{ path: "", message: bodyProblem(fault) }] }))
    if (body !== undefined) return body
    const message = jsonProblem({ fault: "value", position: 0, line: 1, column: 1 })
    return yield* new InvalidRequest({ problems: [{ path: "", message }] })
  }
)

const bodyProblem = (fault: Exclude<RequestBody.BodyFault, "image" | "size">): string => {
  if (typeof fault === "object") return jsonProblem(fault.mistake)
  switch (fault) {
    case "encoding":
      return "the body is not valid UTF-8"
    case "transfer":
      return "the body did not arrive in full"
    case "values":
      return `the body has more than ${RequestBody.mostValues} values`
    case "texts":
      return `the texts of the body have more than ${RequestBody.mostCharacters} characters together`
  }
}

const jsonProblem = ({ column, fault, line }: JsonText.JsonMistake): string =>
  fault === "depth"
    ? `the body is nested deeper than ${JsonText.deepest} levels`
    : `the body is not valid JSON: ${englishWords[fault]} at line ${line}, column ${column}`

const englishWords: Readonly<Record<Exclude<JsonText.JsonFault, "depth">, string>> = {
  "value": "a value is expected",
  "property name": "a property name in double quotes is expected",
  "colon": "a colon is expected",
  "comma": "a comma or a closing bracket is expected",
  "end of text": "there is text after the end",
  "end of string": "the string has no closing quote",
  "control character": "a string contains an unescaped control character",
  "escape": "a string contains an invalid escape"
}

const within = (place: string) => ({ message, path }: Problem): Problem => ({ path: `${place}.${path}`, message })

// What a body has besides the fields of its request.
const ownNames = ["idempotency_key", "priority", "requires", "save", "task_id"]

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields => Predicate.isObject(value) && !Array.isArray(value)

const checkpoints = ["refiner_checkpoint", "hr_checkpoint_name"] as const

const hasInitImages = ({ _tag, init_images }: Fields): boolean =>
  (_tag === undefined || _tag === null) && init_images !== undefined && init_images !== null

const decodeOptions = Schema.decodeUnknownResult(
  Schema.Struct({
    save: Schema.optional(Schema.NullOr(Schema.Boolean)),
    task_id: Schema.optional(Schema.NullOr(RunName)),
    idempotency_key: Schema.optional(Schema.NullOr(RunName)),
    priority: Schema.optional(Schema.NullOr(Priority)),
    requires: Schema.optional(Schema.NullOr(Schema.Array(Label).check(Schema.isMaxLength(50))))
  }),
  { errors: "all" }
)

const optionProblems = (options: Fields): ReadonlyArray<Problem> => {
  const decoded = decodeOptions(options)
  return Result.isFailure(decoded) ? problemsOf(decoded.failure.issue) : []
}

// The settings for a request's `save`.
const saving = (save: unknown): Fields =>
  save === true
    ? { samples_save: true }
    : save === false
    ? { samples_save: false, grid_save: false, save_init_img: false, save_mask: false, save_mask_composite: false }
    : {}

// Samplers and schedulers are otherwise looked up only when the run starts.
const nameProblems = (processing: Processing.Processing): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  const check = (sampler: string, scheduler: string, prefix: "" | "hr_") => {
    const resolved = resolveNames({ sampler, scheduler })
    if (Result.isSuccess(resolved)) return
    const path = resolved.failure._tag === "UnknownSampler" ? `${prefix}sampler_name` : `${prefix}scheduler`
    problems.push({ path, message: resolved.failure.message })
  }
  const { sampler_name, scheduler } = processing
  check(sampler_name, scheduler, "")
  if (processing._tag === "Txt2Img" && processing.enable_hr) {
    const { hr_sampler_name, hr_scheduler } = processing
    if (hr_sampler_name !== undefined || hr_scheduler !== undefined) {
      check(hr_sampler_name ?? sampler_name, hr_scheduler ?? scheduler, "hr_")
    }
  }
  return problems
}
