import { assert, layer } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readMetadata } from "../../src/images/Metadata.ts"
import { readInfotext } from "../../src/processing/InfotextRequest.ts"
import { Options } from "../../src/processing/Options.ts"
import { decode, type Processing } from "../../src/processing/Processing.ts"
import type { ProcessedImage } from "../../src/runner/Processed.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { type AnyRequest, isOfFiles, requests, styles } from "./anyRequest.ts"
import * as attentive from "./attentive.ts"
import * as pictures from "./pictures.ts"

/** What a request with images of its own starts from. */
interface Given {
  readonly init_images: readonly [Uint8Array, ...ReadonlyArray<Uint8Array>]
  readonly mask?: Uint8Array | undefined
}

// Settings about files are no part of an infotext: whoever wants the same file sets them again.
const ofFiles = (settings: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => isOfFiles(name)))

const lossStart = "The infotext cannot hold "
const losses = (warnings: ReadonlyArray<string>) => warnings.filter((warning) => warning.startsWith(lossStart))

/** Makes an image again from its infotext, where other settings are in force. */
const again = Effect.fnUntraced(function*(options: {
  readonly made: ProcessedImage
  readonly asked: Processing
  readonly given: Given | undefined
  /** Absent where the text does not name its version: then it does not say that absent keys mean the defaults. */
  readonly elsewhere: Readonly<Record<string, unknown>> | undefined
}) {
  const { asked, elsewhere = {}, given, made } = options
  const infotext = (yield* readMetadata(made.bytes)).infotext ?? made.infotext
  const { sd_model_checkpoint: _, ...others } = elsewhere
  // A text without a model says nothing of another machine's.
  const inForce = yield* Options.decode(infotext.includes("Model: ") ? elsewhere : others)
  const { request } = yield* readInfotext(
    infotext,
    given === undefined ? {} : {
      _tag: "Img2Img",
      init_images: [given.init_images[made.index % given.init_images.length]],
      mask: given.mask
    },
    {
      opts: Options.patched(Options.defaults, inForce),
      swapModel: true,
      ...(options.elsewhere !== undefined && { styles })
    }
  )
  const override_settings = yield* Options.decode({
    ...inForce,
    ...request.override_settings,
    ...ofFiles({ ...Options.defaults }),
    ...ofFiles({ ...asked.override_settings })
  })
  const { images: [remade] } = yield* processImages({ ...request, override_settings })
  return { remade, infotext }
})

/** Makes a request and each of its images again. */
const check = Effect.fnUntraced(function*(any: AnyRequest, options: {
  readonly given: Given | undefined
  readonly mayLose: (warning: string) => boolean
}) {
  const { given, mayLose } = options
  const asked = yield* Effect.result(decode({
    ...any.fields,
    override_settings: any.override_settings,
    ...(given !== undefined && { _tag: "Img2Img", ...given })
  }))
  if (asked._tag === "Failure") return `refused: ${asked.failure.message.slice(0, 300)}`
  const processed = yield* Effect.result(processImages(asked.success))
  if (processed._tag === "Failure") {
    assert.notInclude(["InferenceError", "ImageCodecError", "SaveError"], processed.failure._tag)
    return `refused: ${processed.failure.message.slice(0, 200)}`
  }
  const { images, warnings } = processed.success
  const lost = losses(warnings)
  for (const warning of lost) assert.isTrue(mayLose(warning), warning)
  if (lost.length > 0) return "lost"
  for (const made of images) {
    const hasVersion = any.override_settings["add_version_to_infotext"] !== false
    const { infotext, remade } = yield* again({
      made,
      asked: asked.success,
      given,
      elsewhere: hasVersion ? any.elsewhere : undefined
    })
    assert.strictEqual(infotext, made.infotext)
    assert.strictEqual(remade?.infotext, made.infotext)
    assert.deepStrictEqual(remade?.pixels, made.pixels, made.infotext)
    assert.isTrue(remade !== undefined && Buffer.compare(remade.bytes, made.bytes) === 0)
  }
  return "same"
})

const turn = Arbitrary.schema(Schema.Literals([0, 1, 2, 3, 4]))

// What no text can hold: the rest of a batch.
const batches = [
  `${lossStart}batch_size: DPM adaptive`,
  `${lossStart}sd_model_checkpoint: add_model_hash_to_info is off`,
  `${lossStart}seed: counted up to -1`,
  `${lossStart}subseed: counted up to -1`
]
const isOfBatch = (warning: string) => batches.some((start) => warning.startsWith(start))

const counted = (counts: Map<string, number>, outcome: string) => counts.set(outcome, (counts.get(outcome) ?? 0) + 1)

layer(attentive.layer)("an image made again from its infotext, of a request over all fields and settings", (it) => {
  const kinds = [
    ["with prompts of plain words", "plain", isOfBatch],
    ["with prompts of any text, or a warning names the prompt", "any", () => true]
  ] as const

  for (const [title, prompts, mayLose] of kinds) {
    it.effect(`is the same to the byte, ${title}`, () =>
      Effect.gen(function*() {
        const counts = new Map<string, number>()
        const result = yield* Arbitrary.checkEffect(requests.txt2img[prompts], (any) =>
          Effect.map(check(any, { given: undefined, mayLose }), (outcome) => {
            counted(counts, outcome)
            return true
          }), { runs: 150 })
        assert.isUndefined(Arbitrary.formatCheckFailure(result))
        assert.isAbove(counts.get("same") ?? 0, 50, JSON.stringify([...counts]))
      }))

    it.effect(`is the same to the byte with the images that it came from, ${title}`, () =>
      Effect.gen(function*() {
        const [first, second, clear, mask, blank] = yield* Effect.all([
          pictures.file(pictures.slopes(72, 60)),
          pictures.file(pictures.slopes(40, 40)),
          pictures.file(pictures.translucent(pictures.slopes(48, 56))),
          pictures.file(pictures.translucent(pictures.rectangle([10, 10, 40, 50], 72, 60))),
          pictures.file(pictures.rectangle([0, 0, 0, 0], 72, 60))
        ])
        const counts = new Map<string, number>()
        const givens: ReadonlyArray<Given> = [
          { init_images: [first], mask },
          { init_images: [clear] },
          { init_images: [first, second], mask },
          { init_images: [second], mask: blank },
          { init_images: [clear, first] }
        ]
        const result = yield* Arbitrary.checkEffect(
          Arbitrary.all({ any: requests.img2img[prompts], turn }),
          ({ any, turn }) => {
            const given = givens[turn]
            return Effect.map(
              check({ ...any, fields: { ...any.fields, batch_size: 2 } }, { given, mayLose }),
              (outcome) => {
                counted(counts, outcome)
                return true
              }
            )
          },
          { runs: 150 }
        )
        assert.isUndefined(Arbitrary.formatCheckFailure(result))
        assert.isAbove(counts.get("same") ?? 0, 50, JSON.stringify([...counts]))
      }))
  }
})
