import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { InvalidModelFile } from "../../src/model/ModelError.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { SavedImages, TestModel, TestRuntime } from "../../src/testing/index.ts"

const request = Txt2Img.make({ prompt: "a cat", seed: 1, steps: 2, n_iter: 2 })

const opts = { samples_filename_pattern: "[seed] [model_hash] [model_name]" }

/** The models' hash is not there until `gate` opens, and `asked` says that it was asked for. */
const gated = Effect.gen(function*() {
  const [gate, asked] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  const hash = Effect.as(Effect.andThen(Deferred.succeed(asked, undefined), Deferred.await(gate)), "0123456789")
  const vae = { name: "other.vae.safetensors", hash: Effect.as(Deferred.await(gate), "9876543210") }
  return { asked: Deferred.await(asked), open: Deferred.succeed(gate, undefined), model: TestModel.make({ hash, vae }) }
})

/** The progress of a run whose second batch has been sampled. */
const sampledTwice = Effect.fnUntraced(function*(runId: string) {
  const { watch } = yield* Runs
  const progress = yield* watch(runId).pipe(
    Stream.filter(({ passesDone, samplingStep }) => passesDone === 1 && samplingStep === 2),
    Stream.runHead
  )
  return Option.getOrThrow(progress)
})

describe("the hashes of a run's files", () => {
  it.live("are computed while it samples, and are in all that is written", () =>
    Effect.gen(function*() {
      const { asked, model, open } = yield* gated
      yield* Effect.gen(function*() {
        const running = yield* Effect.forkChild(processImages(request, { runId: "hashed" }))
        yield* asked
        const progress = yield* sampledTwice("hashed")
        // The second batch has been sampled, and nothing is written.
        assert.deepStrictEqual(progress.images, [])
        const { files } = yield* SavedImages
        assert.strictEqual((yield* files).size, 0)
        yield* open
        const { images, state, warnings } = yield* Fiber.join(running)
        assert.lengthOf(images, 2)
        for (const { infotext, path } of images) {
          assert.include(
            infotext,
            "Model hash: 0123456789, Model: test-model, VAE hash: 9876543210, VAE: other.vae.saf"
          )
          assert.match(path ?? "", /\d 0123456789 test-model\.png$/)
        }
        assert.deepStrictEqual(
          state.batches.flat().map(({ infotext }) => infotext),
          images.map((each) => each.infotext)
        )
        assert.strictEqual(state.model.hash, "0123456789")
        assert.deepStrictEqual(warnings, [])
      }).pipe(Effect.provide(TestRuntime.layer({ model, opts })))
    }))

  it.live.each(
    [
      [
        "a file that cannot be read",
        Effect.fail(
          new InvalidModelFile({
            file: "model.safetensors",
            problems: [{ path: "", message: "it cannot be read (EIO)" }]
          })
        )
      ],
      ["a thread that died", Effect.die(new Error("the thread for long work died: it cannot be read (EIO)"))]
    ] as const
  )("that cannot be computed are left out, with a warning: %s", ([, hash]) =>
    Effect.gen(function*() {
      const { images, state, warnings } = yield* processImages(request)
      assert.lengthOf(images, 2)
      assert.notInclude(images[0]?.infotext, "Model hash")
      assert.include(images[0]?.infotext, "Model: test-model")
      assert.isUndefined(state.model.hash)
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", /^The infotext has no hash of test-model: .*it cannot be read \(EIO\)/)
    }).pipe(Effect.provide(TestRuntime.layer({ model: TestModel.make({ hash }) }))))

  it.live("are waited for by no run that is cancelled: what was made is written without them", () =>
    Effect.gen(function*() {
      const { model } = yield* gated
      yield* Effect.gen(function*() {
        const running = yield* Effect.forkChild(processImages(request, { runId: "cancelled" }))
        yield* sampledTwice("cancelled")
        yield* Fiber.interrupt(running)
        const { files } = yield* SavedImages
        assert.lengthOf([...(yield* files).keys()], 1)
      }).pipe(Effect.provide(TestRuntime.layer({ model, opts })))
    }))
})
