/**
 * `txt2img` and `img2img`: from a request body to a run, and from its result to the reply.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Described } from "../../core/Field.ts"
import * as rounds from "../../core/rounds.ts"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import { Upscalers } from "../../images/Upscalers.ts"
import { Models } from "../../model/Models.ts"
import { withView } from "../../model/ModelsView.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import * as Infotext from "../../processing/Infotext.ts"
import * as InfotextRequest from "../../processing/InfotextRequest.ts"
import * as InfotextWarnings from "../../processing/InfotextWarnings.ts"
import { InvalidProcessing } from "../../processing/InvalidProcessing.ts"
import { modelSettings } from "../../processing/modelSettings.ts"
import { Options } from "../../processing/Options.ts"
import { Img2Img, Txt2Img } from "../../processing/Processing.ts"
import * as Processing from "../../processing/Processing.ts"
import { StyleBook } from "../../processing/StyleBook.ts"
import { knownNames } from "../../runner/knownNames.ts"
import { withPresentNetworks } from "../../runner/presentNetworks.ts"
import * as Samplers from "../../sampling/Samplers.ts"
import * as Schedules from "../../sampling/Schedules.ts"
import { caller } from "../host/Caller.ts"
import { ModelTitles } from "../host/ModelTitles.ts"
import { RunQueue } from "../host/RunQueue.ts"
import { ServerOptions } from "../host/ServerOptions.ts"
import { Settings } from "../host/Settings.ts"
import { type ApiError, fromRun, problem, refuse } from "./ApiError.ts"
import * as ControlNet from "./ControlNet.ts"
import { readDict } from "./Fields.ts"
import {
  decodeImg2Img,
  decodeTxt2Img,
  type ImageRequest,
  type Img2ImgRequest,
  isImg2Img,
  number,
  sharedFields,
  type Txt2ImgRequest
} from "./ImageRequest.ts"
import { info, replyImages } from "./Info.ts"
import { RequestImages } from "./RequestImages.ts"
import * as Scripts from "./Scripts.ts"

/** A reply before it is serialized. */
export interface Reply {
  /** Files, written in base64. */
  readonly images: ReadonlyArray<Uint8Array>
  readonly parameters: ImageRequest
  readonly info: string
}

export class Generation extends Context.Service<Generation, {
  readonly txt2img: (body: unknown) => Effect.Effect<Reply, ApiError>
  readonly img2img: (body: unknown) => Effect.Effect<Reply, ApiError>
}>()("serena/server/sdapi/Generation") {
  static readonly layer = Layer.effect(
    Generation,
    Effect.gen(function*() {
      const { limits } = yield* CommandOptions
      const { durable_sdapi } = yield* ServerOptions
      const decoder = yield* ImageDecoder
      const queue = yield* RunQueue
      const requestImages = yield* RequestImages
      const { read } = requestImages
      const settings = yield* Settings
      const options = yield* Options
      const models = yield* Models
      const { load } = models
      const styles = yield* StyleBook
      const titles = yield* ModelTitles
      const upscalers = yield* Upscalers
      const together = yield* rounds.make<number, never>()

      // Fills the fields that the request leaves out from its infotext.
      const withInfotext = Effect.fnUntraced(function*(
        body: unknown,
        { fields, hasUnits, text }: {
          readonly text: string
          readonly fields: ReadonlySet<string>
          readonly hasUnits: boolean
        }
      ) {
        const given = readDict(body) ?? {}
        const present = yield* Effect.provideService(withPresentNetworks(text), Models, models)
        const parsed = yield* Infotext.parsing(present.text, { styles: (yield* styles.read).styles })
        if (parsed.unreadable !== undefined && !("prompt" in given)) {
          return yield* problem(["body", "infotext"], parsed.unreadable)
        }
        const said = Infotext.withDefaults(parsed)
        const isKnown = yield* knownNames.pipe(
          Effect.provideService(Upscalers, upscalers),
          Effect.provideService(Models, models)
        )
        const filled: Record<string, unknown> = {}
        const saidFields = InfotextRequest.fieldsOf(said)
        for (const { name, value } of saidFields) {
          if (InfotextWarnings.isUnknownName(name, value, isKnown)) continue
          if (name === "control_units") continue
          if (fields.has(name) && !(name in given) && value !== undefined && value !== null) filled[name] = value
        }
        const overrides = readDict(given["override_settings"]) ?? {}
        const inForce = yield* settings.all
        const unsaid: Record<string, unknown> = {}
        for (const { name, value } of InfotextRequest.settingsOf(said)) {
          if (value === undefined || name in overrides || !(name in inForce) || inForce[name] === value) continue
          if (InfotextWarnings.isUnknownSetting(name, value, isKnown)) continue
          if (name !== "sd_model_checkpoint" || inForce["disable_weights_auto_swap"] === false) unsaid[name] = value
        }
        const warnings = InfotextWarnings.warningsOf({
          parsed,
          kind: fields.has("init_images") ? "Img2Img" : "Txt2Img",
          isGiven: (name) => name === "control_units" ? hasUnits : name in given || name in overrides,
          isKnown
        })
        return {
          body: { ...given, ...filled, override_settings: { ...unsaid, ...overrides } },
          said: saidFields,
          warnings: [...present.warnings, ...warnings]
        }
      })

      const overridesOf = Effect.fnUntraced(function*(request: ImageRequest) {
        const asked = request.override_settings ?? {}
        const acting = yield* settings.overrides(asked)
        if (request.save_images) return acting
        // The format of the reply is always the setting's own.
        const { samples_format: _, ...others } = acting
        return { ...others, samples_save: false, grid_save: false, return_grid: false, save_init_img: false }
      }, Effect.mapError(fromRun))

      // Only a listed model is loaded: a name is never a path.
      const checkpoint = Effect.fnUntraced(function*(field: string, name: string | null) {
        if (name === null || name === "" || /^(?:none|use same checkpoint)$/i.test(name)) return undefined
        const model = yield* titles.find(name)
        if (Option.isSome(model)) return model.value.name
        return yield* refuse(404, `Could not find checkpoint with name ${name}`, {
          errors: `${field}: the server has no such model. See /sdapi/v1/sd-models.`
        })
      })

      const shared = Effect.fnUntraced(function*(
        request: ImageRequest,
        ...asked: readonly [struct: Described, withoutGroups?: ReadonlyArray<string>]
      ) {
        const name = request.sampler_name === null || request.sampler_name === ""
          ? request.sampler_index
          : request.sampler_name
        const refiner = yield* checkpoint("refiner_checkpoint", request.refiner_checkpoint)
        return {
          ...sharedFields(request, ...asked),
          ...(yield* samplerOf(name, request.scheduler)),
          steps: request.steps ?? 50,
          refiner_checkpoint: refiner,
          ...(refiner === undefined && { refiner_switch_at: undefined }),
          override_settings: yield* overridesOf(request)
        }
      })

      // Sizes are cut to what the model takes: one latent value for several pixels, which the network may halve again.
      const sizeMultipleOf = Effect.fnUntraced(function*(overrides: { readonly [setting: string]: unknown }) {
        const asked = overrides["sd_model_checkpoint"]
        const current = yield* options.snapshot
        const chosen = yield* Effect.orElseSucceed(
          Effect.map(Options.decode(overrides), (patch) => Options.patched(current, patch)),
          () => Options.patched(current, typeof asked === "string" ? { sd_model_checkpoint: asked } : {})
        )
        const multiple = load(chosen.sd_model_checkpoint, chosen).pipe(
          Effect.map(({ sizeMultiple }) => sizeMultiple),
          Effect.scoped,
          // The run reports what is wrong with the model when it loads it.
          Effect.orElseSucceed(() => usualMultiple),
          withView
        )
        // One look at the models folders for all who ask now: each would take as long, and a later request could be
        // ready before an earlier one.
        return yield* together(modelSettings(chosen), multiple)
      })

      const ofTxt2Img = Effect.fnUntraced(function*(request: Txt2ImgRequest) {
        const { height, width } = request
        // With these older fields, width and height are the size of the second pass.
        const isOld = (request.firstphase_width ?? 0) !== 0 || (request.firstphase_height ?? 0) !== 0
        const isHires = request.enable_hr === true
        const checkpointName = isHires
          ? yield* checkpoint("hr_checkpoint_name", request.hr_checkpoint_name)
          : undefined
        const sampler = isHires ? sameOr(request.hr_sampler_name, "use same sampler") : undefined
        const scheduler = sameOr(request.hr_scheduler, "use same scheduler")
        const second = sampler === undefined ? undefined : yield* samplerOf(sampler, scheduler ?? null)
        const fields = yield* shared(request, Txt2Img, isHires ? [] : ["Hires fix"])
        const multiple = yield* sizeMultipleOf(fields.override_settings)
        const fitting = (length: number | null) => cutTo(multiple, length ?? 512)
        return {
          _tag: "Txt2Img",
          ...fields,
          width: fitting(isOld ? request.firstphase_width ?? 0 : width),
          height: fitting(isOld ? request.firstphase_height ?? 0 : height),
          enable_hr: request.enable_hr,
          ...(isHires && {
            denoising_strength: number(request.denoising_strength) ?? 0.75,
            hr_resize_x: isOld ? fitting(width) : request.hr_resize_x,
            hr_resize_y: isOld ? fitting(height) : request.hr_resize_y,
            hr_upscaler: request.hr_upscaler === "" ? undefined : request.hr_upscaler,
            hr_checkpoint_name: checkpointName,
            hr_sampler_name: second?.sampler_name,
            hr_scheduler: scheduler === undefined
              ? undefined
              : Option.getOrUndefined(Schedules.get(scheduler))?.label ?? "Automatic"
          })
        }
      })

      const ofImg2Img = Effect.fnUntraced(function*(request: Img2ImgRequest) {
        if (request.init_images === null) return yield* refuse(404, "Init image not found")
        if (request.init_images.length === 0) {
          return yield* problem(["body", "init_images"], "at least one image is needed")
        }
        const batch = request.batch_size ?? 1
        if (request.init_images.length > 1 && request.init_images.length > batch) {
          return yield* problem(
            ["body", "init_images"],
            `bad number of images passed: ${request.init_images.length}; expecting ${batch} or less`
          )
        }
        const images = yield* Effect.forEach(request.init_images, read)
        const mask = request.mask === null || request.mask === "" ? undefined : yield* read(request.mask)
        const fields = yield* shared(request, Img2Img)
        const multiple = yield* sizeMultipleOf(fields.override_settings)
        return {
          _tag: "Img2Img",
          ...fields,
          width: cutTo(multiple, request.width ?? 512),
          height: cutTo(multiple, request.height ?? 512),
          ...(images.length > 1 && { batch_size: images.length }),
          init_images: images,
          mask,
          mask_blur_x: request.mask_blur ?? request.mask_blur_x,
          mask_blur_y: request.mask_blur ?? request.mask_blur_y,
          inpainting_fill: request.inpainting_fill ?? 0,
          inpaint_full_res_padding: request.inpaint_full_res_padding ?? 0
        }
      })

      const unitsOf = (request: ImageRequest) =>
        Effect.provideService(ControlNet.unitsOf(request), RequestImages, requestImages)

      // After the images, as sd-webui-controlnet has them, unless the settings leave them out.
      const wantsMaps = ({ send_images }: ImageRequest, { control_units, override_settings }: Processing.Processing) =>
        Effect.map(options.snapshot, (snapshot) =>
          send_images && control_units.length > 0 &&
          !Options.patched(snapshot, override_settings).control_net_no_detectmap)

      const unpack = Effect.fnUntraced(function*(image: string | Uint8Array) {
        const bytes = yield* read(image)
        return yield* Effect.mapError(decoder.decode(bytes, limits), fromRun)
      })

      const run = Effect.fnUntraced(function*(
        request: ImageRequest,
        { said, warnings }: {
          readonly said: ReadonlyArray<InfotextRequest.Said>
          readonly warnings: ReadonlyArray<string>
        } = { said: [], warnings: [] }
      ) {
        const script = yield* Scripts.find(request)
        const asked = isImg2Img(request) ? yield* ofImg2Img(request) : yield* ofTxt2Img(request)
        const scripted = script === undefined
          ? asked
          : yield* script.change(asked, { decode: unpack, multiple: yield* sizeMultipleOf(asked.override_settings) })
        const control_units = yield* unitsOf(request)
        const asking = { ...scripted, control_units, ...InfotextRequest.unitsOf(said, control_units) }
        const processing = yield* Effect.mapError(
          Processing.decode(given(asking), limits),
          (error) => fromRun(withScriptPaths(error))
        )
        const client = yield* caller
        const isDurable = request.durable ?? durable_sdapi
        const isKept = isDurable || request.save_images
        const withMaps = script === undefined && (yield* wantsMaps(request, processing))
        // A client that disconnects cancels its run, unless the images are to be saved.
        const made = yield* Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            queue.submitWaiting(processing, {
              taskId: request.force_task_id ?? undefined,
              client,
              keep: isDurable,
              withMaps
            }),
            ({ result, run }) =>
              // Lasting settings are changed only once the request has been accepted. It ends if they cannot be.
              Effect.andThen(
                request.override_settings_restore_afterwards === false
                  ? Effect.tapError(settings.set(request.override_settings ?? {}), () => queue.cancel(run.id))
                  : Effect.void,
                Effect.onInterrupt(restore(result), () => isKept ? Effect.void : Effect.ignore(queue.cancel(run.id)))
              )
          )
        ).pipe(Effect.mapError((error) => fromRun(withScriptPaths(error))))
        const passedOver = unknownCheckpoint(request, processing, made.plan.model.name)
        const shownResult = script?.onlyGrid === true ? { ...made, images: [] } : made
        const images = replyImages(shownResult).map(({ bytes }) => bytes)
        const maps = ControlNet.mapsOf(request, made)
        const reply: Reply = {
          images: request.send_images ? [...images, ...maps] : [],
          parameters: shown(request),
          info: info(request, processing, made, [...warnings, ...passedOver, ...made.warnings])
        }
        return reply
      })

      const handle = <A extends ImageRequest>(
        decode: (body: unknown) => Effect.Effect<A, ApiError>,
        fields: ReadonlySet<string>
      ) =>
        Effect.fnUntraced(function*(body: unknown) {
          const request = yield* decode(body)
          if (request.infotext === null || request.infotext === "") return yield* run(request)
          const hasUnits = (yield* unitsOf(request)).length > 0
          const { body: filled, ...rest } = yield* withInfotext(body, { text: request.infotext, fields, hasUnits })
          return yield* run(yield* decode(filled), rest)
        })

      return Generation.of({
        txt2img: handle(decodeTxt2Img, new Set(Object.keys(Txt2Img.fields))),
        img2img: handle(decodeImg2Img, new Set(Object.keys(Img2Img.fields)))
      })
    })
  )
}

// What is wrong with a unit is wrong with an argument of the script.
const withScriptPaths = <E extends Parameters<typeof fromRun>[0]>(error: E) =>
  error._tag === "InvalidProcessing"
    ? new InvalidProcessing({
      problems: error.problems.map(({ message, path }) => ({ path: ControlNet.pathOf(path), message }))
    })
    : error

// The request as the reply shows it: with images only if they are requested.
const shown = (request: ImageRequest): ImageRequest =>
  isImg2Img(request) && request.include_init_images !== true
    ? { ...request, init_images: null, mask: null }
    : request

// As in the webui, an unknown checkpoint in the override settings is passed over.
const unknownCheckpoint = (
  request: ImageRequest,
  { override_settings }: Processing.Processing,
  used: string
): ReadonlyArray<string> => {
  const asked = request.override_settings?.["sd_model_checkpoint"]
  return typeof asked !== "string" || asked.trim() === "" || override_settings.sd_model_checkpoint !== undefined
    ? []
    : [
      `No checkpoint is named ${
        JSON.stringify(asked.slice(0, 200))
      }: override_settings.sd_model_checkpoint was passed ` +
      `over, and ${used} was used. See /sdapi/v1/sd-models.`
    ]
}

// Null counts as absent.
const given = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null))

// Rounds down to a multiple. A length that is too small stays, so that its problem names the value that was sent.
const cutTo = (multiple: number, length: number): number => length < multiple ? length : length - length % multiple

/** The multiple of stable-diffusion-webui, for models without their own. */
const usualMultiple = 8

const sameOr = (name: string | null, same: string): string | undefined =>
  name === null || name === "" || name.toLowerCase() === same ? undefined : name

/** The sampler and scheduler of a name in any spelling. An unknown scheduler means the sampler's own. */
const samplerOf = Effect.fnUntraced(function*(name: string, scheduler: string | null) {
  const parsed = Samplers.parseName(name)
  if (Option.isNone(parsed)) {
    return yield* refuse(404, "Sampler not found", { errors: `No sampler is named "${name}". See /sdapi/v1/samplers.` })
  }
  const asked = scheduler === null ? Option.none() : Schedules.get(scheduler)
  const chosen = Option.isSome(asked) && asked.value.name !== "automatic"
    ? asked
    : Option.orElse(parsed.value.scheduler, () => asked)
  return {
    sampler_name: parsed.value.sampler.name,
    scheduler: Option.match(chosen, { onNone: () => "Automatic", onSome: ({ label }) => label })
  }
})
