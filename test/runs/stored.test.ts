import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { decode, Img2Img, type Processing } from "../../src/processing/Processing.ts"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import * as MemoryBlobStore from "../../src/runs/MemoryBlobStore.ts"
import { blobsOf, RunRecord } from "../../src/runs/RunRecord.ts"
import { keepSent, processingOf, withoutImages } from "../../src/runs/stored.ts"
import { type AnyRequest, requests } from "../diffusion/anyRequest.ts"
import { queuedRun } from "./newRun.ts"

/** Records over all their fields; settings are whatever JSON holds. */
const AnyRecord = RunRecord.mapFields(Struct.assign({ settings: Schema.Record(Schema.String, Schema.Json) }))

const Json = Schema.fromJsonString(Schema.toCodecJson(RunRecord))

/** A record as it comes back from a store, which keeps it as JSON. */
const throughJson = Effect.fnUntraced(function*(run: RunRecord) {
  return yield* Schema.decodeEffect(Json)(yield* Schema.encodeEffect(Json)(run))
})

/** The same without -0, which is 0 in JSON. */
const plain = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(plain)
    : value instanceof Uint8Array
    ? value
    : Predicate.isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
    : Object.is(value, -0)
    ? 0
    : value

/** Images of any bytes, some of them the same. */
const images = {
  init_images: [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(1, 2, 3)],
  mask: Uint8Array.of(5, 0, 255)
}

const control_units = [
  { model: "canny", image: Uint8Array.of(7), mask: Uint8Array.of(8) },
  { model: "depth", weight: 0.5 },
  { model: "pose", image: Uint8Array.of(7) }
]

const roundTrip = Effect.fnUntraced(function*(processing: Processing) {
  const run = queuedRun("r1", {
    request: withoutImages(processing),
    sent: yield* keepSent(processing, {}),
    seeds: { seed: processing.seed, subseed: processing.subseed }
  })
  const { get } = yield* BlobStore
  yield* Effect.forEach(blobsOf(run), get)
  return yield* processingOf(yield* throughJson(run))
})

/** Whether a request, if it is one, comes back as it was. */
const check = Effect.fnUntraced(function*({ fields, override_settings }: AnyRequest, more: object) {
  const decoded = yield* Effect.result(
    decode({ ...Object(plain(fields)), override_settings: plain(override_settings), ...more })
  )
  if (decoded._tag === "Failure") return
  assert.deepStrictEqual(yield* roundTrip(decoded.success), decoded.success)
})

describe("a record of a run", () => {
  it.effect.prop("comes back from JSON as it was", [AnyRecord], ([run]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(plain(yield* throughJson(run)), plain(run))
    }), { arbitrary: { runs: 50 } })

  it.effect("keeps seeds that no number holds", () =>
    Effect.gen(function*() {
      const seed = 18446744073709551615n
      const run = queuedRun("r1", { seeds: { seed, subseed: -9223372036854775808n } })
      assert.deepStrictEqual((yield* throughJson(run)).seeds, run.seeds)
    }))
})

describe("a request that is kept", () => {
  it.effect.prop(
    "comes back as it was: Txt2Img",
    [requests.txt2img.any, Schema.Boolean],
    ([any, isControlled]) => Effect.provide(check(any, isControlled ? { control_units } : {}), MemoryBlobStore.layer)
  )

  it.effect.prop(
    "comes back as it was: Img2Img",
    [requests.img2img.any, Schema.Boolean, Schema.Boolean],
    ([any, isControlled, hasMask]) =>
      Effect.provide(
        check(any, {
          ...(isControlled && { control_units }),
          _tag: "Img2Img",
          batch_size: 3,
          init_images: images.init_images,
          ...(hasMask && { mask: images.mask })
        }),
        MemoryBlobStore.layer
      )
  )

  it.effect("fails when one of its images is gone", () =>
    Effect.gen(function*() {
      const sent = yield* keepSent(Img2Img.make({ init_images: [Uint8Array.of(1)] }), {})
      yield* BlobStore.use(({ remove }) => remove(sent.init_images))
      const run = queuedRun("r1", { request: withoutImages(Img2Img.make({ init_images: [Uint8Array.of(1)] })), sent })
      assert.strictEqual((yield* Effect.flip(processingOf(run)))._tag, "BlobMissing")
    }).pipe(Effect.provide(MemoryBlobStore.layer)))
})
