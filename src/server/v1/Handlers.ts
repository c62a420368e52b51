/**
 * The handlers of `/v1`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { Api } from "../../contract/Api.ts"
import type { Style } from "../../contract/Catalogue.ts"
import { ImageNotFound, PreviewNotFound, RunNotFound, TooLarge } from "../../contract/errors.ts"
import type { Problem } from "../../core/Problem.ts"
import { parametersOf, readMetadata } from "../../images/Metadata.ts"
import * as Preprocessors from "../../images/Preprocessors.ts"
import { latentUpscaleModes } from "../../images/Resample.ts"
import { thumbnail } from "../../images/Thumbnail.ts"
import { Upscalers } from "../../images/Upscalers.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import * as InfotextRequest from "../../processing/InfotextRequest.ts"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"
import { Options } from "../../processing/Options.ts"
import { StyleBook } from "../../processing/StyleBook.ts"
import { knownNames } from "../../runner/knownNames.ts"
import { withPresentNetworks } from "../../runner/presentNetworks.ts"
import * as Samplers from "../../sampling/Samplers.ts"
import * as Schedules from "../../sampling/Schedules.ts"
import { version } from "../../version.ts"
import { jsonStream, listPieces } from "../host/jsonStream.ts"
import { ModelShelf } from "../host/ModelShelf.ts"
import { ModelTitles, openAiModels } from "../host/ModelTitles.ts"
import { type QueuedRun, RunQueue } from "../host/RunQueue.ts"
import { ServerOptions } from "../host/ServerOptions.ts"
import { Settings } from "../host/Settings.ts"
import { isActive, type Values } from "../host/SettingsPatch.ts"
import { eventStream, previewPng } from "./EventStream.ts"
import { fileResponse, isKnown, previewResponse, thumbnailResponse } from "./Files.ts"
import { preprocess } from "./preprocess.ts"
import { RunEvents } from "./RunEvents.ts"
import { runOf } from "./RunView.ts"
import { readJson, Submission } from "./Submission.ts"

const pageLength = 20

interface ImagePlace {
  readonly id: string
  readonly index: number
}

// Events of a run are numbered from 1. Anything else stands for the beginning.
const numberOf = (id: string | undefined): number => id !== undefined && /^\d{1,15}$/.test(id) ? Number(id) : 0

export const layerRuns = HttpApiBuilder.group(
  Api,
  "runs",
  Effect.fnUntraced(function*(handlers) {
    const events = yield* RunEvents
    const queue = yield* RunQueue
    const { submit } = yield* Submission

    const find = Effect.fnUntraced(function*(id: string) {
      const run = yield* queue.get(id)
      return Option.isSome(run) ? run.value : yield* new RunNotFound({ id })
    })
    const view = (run: QueuedRun) => Effect.map(Clock.currentTimeMillis, (now) => runOf(run, now))
    const asked =
      (wish: "cancel" | "interrupt" | "skip") => ({ params }: { readonly params: { readonly id: string } }) =>
        Effect.gen(function*() {
          const { id } = yield* find(params.id)
          yield* queue[wish](id)
          return yield* view(yield* find(id))
        })
    const known = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => headers["if-none-match"])

    const notFound = ({ id, index }: ImagePlace) => new ImageNotFound({ id, image: `images/${index}` })
    const imageOf = Effect.fnUntraced(function*(place: ImagePlace) {
      const run = yield* find(place.id)
      const image = run.record.images.find(({ index }) => index === place.index)
      const bytes = image === undefined ? Option.none() : yield* queue.file(image.blob)
      return image === undefined || Option.isNone(bytes)
        ? yield* notFound(place)
        : { run, image, bytes: bytes.value }
    })
    const extraOf = Effect.fnUntraced(function*({ id, index }: ImagePlace) {
      const run = yield* find(id)
      const extra = run.record.extras[index]
      const bytes = extra === undefined ? Option.none() : yield* queue.file(extra.blob)
      if (extra === undefined || Option.isNone(bytes)) {
        return yield* new ImageNotFound({ id, image: `extras/${index}` })
      }
      const name = `${extra.kind.replaceAll(" ", "-")}${extra.index === null ? "" : `-${extra.index}`}`
      return { run, extra, name, bytes: bytes.value }
    })
    // A small copy, which is made only for clients that do not have it.
    const smallOf = Effect.fnUntraced(function*(
      bytes: Uint8Array,
      { error, ...named }: { readonly tag: string; readonly name: string; readonly error: ImageNotFound }
    ) {
      const file = { bytes, format: "webp", path: null } as const
      const about = { ...named, known: yield* known }
      if (isKnown(about)) return fileResponse(file, about)
      const small = yield* Effect.mapError(thumbnail(bytes), () => error)
      return fileResponse({ ...file, bytes: small }, about)
    })

    return handlers
      .handleRaw("submit", ({ request }) =>
        Effect.flatMap(submit(request), view).pipe(
          Effect.tapError((error) => {
            const seconds = error._tag === "QueueFull"
              ? error.retryAfter
              : error._tag === "ShuttingDown" || error._tag === "RunsUnavailable"
              ? 10
              : undefined
            return seconds === undefined ? Effect.void : retryAfter(seconds)
          })
        ))
      .handle("list", ({ query }) =>
        Effect.gen(function*() {
          const { limit = pageLength, starred, state, ...others } = query
          if (query.before !== undefined) yield* find(query.before)
          const { next = null, runs } = yield* queue.page({
            ...others,
            limit,
            states: state === undefined ? undefined : [state],
            starred: starred === undefined ? undefined : starred === "true"
          })
          return { runs: yield* Effect.forEach(runs, view), next }
        }))
      .handle("get", ({ params }) => Effect.flatMap(find(params.id), view))
      .handle("update", ({ params, payload }) =>
        Effect.gen(function*() {
          const { id } = yield* find(params.id)
          const { before, starred, tags } = payload
          if (starred !== undefined || tags !== undefined) yield* queue.mark(id, { starred, tags })
          if (before !== undefined) yield* queue.move(id, before ?? undefined)
          return yield* view(yield* find(id))
        }))
      .handle("retry", ({ params }) =>
        Effect.gen(function*() {
          const { id } = yield* find(params.id)
          yield* queue.retry(id)
          return yield* view(yield* find(id))
        }))
      .handle("remove", ({ payload }) => Effect.map(queue.remove(payload.ids), (ids) => ({ ids })))
      .handle("queue", () => queue.status)
      .handle("setQueue", ({ payload }) => Effect.andThen(queue.pause(payload.paused), queue.status))
      .handle("cancel", asked("cancel"))
      .handle("interrupt", asked("interrupt"))
      .handle("skip", asked("skip"))
      .handle("events", ({ headers, params, query }) =>
        Effect.gen(function*() {
          const { id } = yield* find(params.id)
          const stream = yield* events.after(id, numberOf(headers["last-event-id"] ?? query.last_event_id))
          // An EventSource reconnects after the end of a stream too; 204 stops it.
          return Option.isNone(stream)
            ? HttpServerResponse.empty({ status: 204 })
            : yield* eventStream(stream.value, { previews: query.previews === "true" })
        }))
      .handle("image", ({ params }) =>
        Effect.gen(function*() {
          const { bytes, image, run } = yield* imageOf(params)
          const tag = `${run.id}-images-${params.index}`
          return fileResponse({ ...image, bytes }, { tag, name: `${params.index}-${image.seed}`, known: yield* known })
        }))
      .handle("thumbnail", ({ params }) =>
        Effect.gen(function*() {
          const { bytes, image, run } = yield* imageOf(params)
          const tag = `${run.id}-thumbnails-${params.index}`
          return yield* smallOf(bytes, { tag, name: `${params.index}-${image.seed}-small`, error: notFound(params) })
        }))
      .handle("extra", ({ params }) =>
        Effect.gen(function*() {
          const { bytes, extra, name, run } = yield* extraOf(params)
          const tag = `${run.id}-extras-${params.index}`
          return fileResponse({ ...extra, bytes }, { tag, name, known: yield* known })
        }))
      .handle("extraThumbnail", ({ params }) =>
        Effect.gen(function*() {
          const { bytes, name, run } = yield* extraOf(params)
          const tag = `${run.id}-extras-thumbnails-${params.index}`
          const error = new ImageNotFound({ id: params.id, image: `extras/${params.index}` })
          return yield* smallOf(bytes, { tag, name: `${name}-small`, error })
        }))
      .handle("preview", ({ params }) =>
        Effect.gen(function*() {
          const { status } = yield* find(params.id)
          const preview = status._tag === "Running" ? status.progress?.preview : undefined
          const png = preview === undefined ? Option.none() : yield* Effect.option(previewPng(preview))
          return Option.isSome(png)
            ? HttpServerResponse.uint8Array(png.value, {
              contentType: "image/png",
              headers: { "cache-control": "no-store" }
            })
            : yield* new ImageNotFound({ id: params.id, image: "preview" })
        }))
  })
)

const retryAfter = (seconds: number) =>
  HttpEffect.appendPreResponseHandler((_, response) =>
    Effect.succeed(HttpServerResponse.setHeader(response, "retry-after", String(seconds)))
  )

export const layerCatalogue = HttpApiBuilder.group(
  Api,
  "catalogue",
  Effect.fnUntraced(function*(handlers) {
    const { limits } = yield* CommandOptions
    const { max_body_bytes } = yield* ServerOptions
    const queue = yield* RunQueue
    const options = yield* Options
    const settings = yield* Settings
    const styles = yield* StyleBook
    const shelf = yield* ModelShelf
    const titles = yield* ModelTitles
    const models = Effect.provideService(openAiModels, ModelTitles, titles)
    const upscalers = yield* Upscalers

    // The webui's API also reads numbers and flags from texts; this one takes values of their own types only.
    const checkSettings = Effect.fnUntraced(function*(patch: Values) {
      const known = Object.fromEntries(Object.entries(patch).filter(([name]) => isActive(name)))
      const checks = [yield* Effect.result(settings.overrides(patch)), yield* Effect.result(Options.decode(known))]
      const problems = checks.flatMap((check) => Result.isFailure(check) ? check.failure.problems : [])
      if (problems.length > 0) return yield* new InvalidOptions({ problems })
    })

    return handlers
      .handle("models", () =>
        Effect.gen(function*() {
          const { headers } = yield* HttpServerRequest.HttpServerRequest
          if (/^bearer\s/i.test(headers["authorization"] ?? "")) {
            // Clients of OpenAI's API sign in by a bearer token, and expect its form.
            return HttpServerResponse.jsonUnsafe(yield* models)
          }
          const { sd_model_checkpoint } = yield* options.snapshot
          const selected = yield* titles.ofName(sd_model_checkpoint)
          return (yield* titles.list).map((model) => ({
            name: model.name,
            title: model.title,
            kind: "checkpoint" as const,
            family: model.family ?? null,
            variant: model.variant ?? null,
            width: model.nativeSize?.width ?? null,
            height: model.nativeSize?.height ?? null,
            file: model.fileName,
            hash: model.hash ?? null,
            selected: model.folder === selected?.folder,
            embedded: model.embedded
          }))
        }))
      .handle(
        "modelFiles",
        ({ query }) => Effect.flatMap(options.snapshot, (settings) => shelf.list(query, settings))
      )
      .handle(
        "modelPreview",
        ({ params: { id } }) =>
          Effect.gen(function*() {
            const bytes = yield* shelf.preview(id)
            const reply = bytes === undefined ? undefined : previewResponse(bytes)
            return reply ?? (yield* new PreviewNotFound({ id }))
          })
      )
      .handle(
        "modelThumbnail",
        ({ params: { id } }) =>
          Effect.gen(function*() {
            const bytes = yield* shelf.preview(id)
            const reply = bytes === undefined ? undefined : yield* thumbnailResponse(bytes)
            return reply ?? (yield* new PreviewNotFound({ id }))
          })
      )
      .handle(
        "samplers",
        () => Effect.succeed(Samplers.all.map(({ aliases, name, options }) => ({ name, aliases, options })))
      )
      .handle(
        "schedulers",
        () => Effect.succeed(Schedules.all.map(({ aliases, label, name }) => ({ name, label, aliases })))
      )
      .handle("upscalers", () =>
        Effect.map(upscalers.list, (list) => [
          ...latentUpscaleModes.map(({ name }) => ({ name, latent: true, scale: null })),
          ...list.map(({ modelName, name, scale }) => ({
            name,
            latent: false,
            scale: modelName === null ? null : scale
          }))
        ]))
      .handle(
        "preprocessors",
        () =>
          Effect.succeed(Preprocessors.all.map(({ a = null, b = null, isResized, label, name }) => ({
            name,
            label,
            resized: isResized,
            threshold_a: a,
            threshold_b: b
          })))
      )
      .handleRaw("preprocess", ({ request }) =>
        Effect.map(
          Effect.flatMap(readJson(request, max_body_bytes, limits), preprocess),
          (png) =>
            HttpServerResponse.uint8Array(png, { contentType: "image/png", headers: { "cache-control": "no-store" } })
        ))
      .handle(
        "styles",
        () =>
          Effect.map(
            styles.read,
            ({ styles }) =>
              jsonStream(listPieces(styles, ({ name, negativePrompt, prompt }): Style => ({
                name,
                prompt,
                negative_prompt: negativePrompt
              })))
          )
      )
      .handle("limits", () => Effect.succeed(limits))
      .handle("options", () => options.snapshot)
      .handleRaw("setOptions", ({ request }) =>
        Effect.gen(function*() {
          const patch = yield* readJson(request, max_body_bytes, limits)
          if (!Predicate.isObject(patch) || Array.isArray(patch)) {
            return yield* new InvalidOptions({ problems: [{ path: "", message: "Expected an object with settings" }] })
          }
          yield* checkSettings({ ...patch })
          yield* settings.set({ ...patch })
          return yield* options.snapshot
        }))
      .handleRaw("pngInfo", ({ request }) =>
        Effect.gen(function*() {
          const maxBytes = limits.max_image_bytes
          const body = yield* Effect.mapError(request.arrayBuffer, () =>
            new TooLarge({ what: "The body", limit: max_body_bytes }))
          if (body.byteLength > maxBytes) {
            return yield* new TooLarge({ what: "The image", limit: maxBytes })
          }
          const metadata = yield* readMetadata(new Uint8Array(body))
          const { items } = metadata
          const infotext = parametersOf(metadata)
          if (infotext === undefined) {
            return { infotext: null, items, request: null, problems: [] }
          }
          const opts = yield* options.snapshot
          const present = yield* withPresentNetworks(infotext)
          const read = yield* Effect.result(InfotextRequest.readInfotext(present.text, {}, {
            opts,
            limits,
            swapModel: true,
            keepsUnits: true,
            styles: (yield* styles.read).styles,
            isKnown: yield* knownNames
          }))
          if (Result.isFailure(read)) {
            return { infotext, items, request: null, problems: read.failure.problems }
          }
          const { request: asked, warnings } = read.success
          const { sd_model_checkpoint: hash = "", ...overrides } = asked.override_settings
          const model = yield* titles.find(hash)
          const problems: ReadonlyArray<Problem> = [
            ...(hash === "" || Option.isSome(model)
              ? []
              : [{
                path: "override_settings.sd_model_checkpoint",
                message: `no model of this server is known by the hash ${hash}`
              }]),
            ...[...present.warnings, ...warnings].map((message) => ({ path: "", message }))
          ]
          const override_settings = Option.isSome(model)
            ? { ...overrides, sd_model_checkpoint: model.value.name }
            : overrides
          return { infotext, items, request: { ...asked, override_settings }, problems }
        }))
      .handle("status", () =>
        Effect.gen(function*() {
          const all = yield* queue.list
          const running = all.filter(({ status }) => status._tag === "Running")
          return {
            version,
            accepting: queue.isAccepting(),
            queued: all.filter(({ status }) => status._tag === "Queued").length,
            running: running.length,
            runs: running.map(({ id }) => id)
          }
        }))
  })
)

/** The services that the handlers share. */
export const layerServices = Submission.layer.pipe(Layer.provideMerge(RunEvents.layer))
