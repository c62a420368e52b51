import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import { FileHashes } from "../../src/models/checkpoint/hashes.ts"
import * as ModelFolder from "../../src/models/ModelFolder.ts"
import { type Network, Networks } from "../../src/models/Networks.ts"
import * as OnnxModel from "../../src/models/OnnxModel.ts"
import { embedded, platform } from "./fixtures.ts"

const float32 = (...names: ReadonlyArray<string>) => names.map((name) => ({ name, type: "float32", dims: [] }))

/** The inputs of each part of a model. */
const inputsOf = (file: string) =>
  /[\\/]unet[\\/]/.test(file)
    ? float32("sample", "timestep", "encoder_hidden_states")
    : float32(/[\\/]text_encoder[\\/]/.test(file) ? "input_ids" : "latent_sample")

/** Networks that count which are held, and open when they are let to. */
const slowNetworks = Effect.gen(function*() {
  const held = new Map<string, number>()
  const count = (file: string, by: number) => Effect.sync(() => held.set(file, (held.get(file) ?? 0) + by))
  const allowed = yield* Latch.make()
  const begun = yield* Latch.make()
  const networks = Networks.of({
    graphs: Effect.succeed({}),
    optimise: () => Effect.void,
    open: (opened) => {
      const file = typeof opened === "string" ? opened : opened.file
      const network: Network = {
        file,
        inputs: inputsOf(file),
        outputs: float32("last_hidden_state", "out_sample", "sample"),
        estimate: () => Effect.undefined,
        isOpen: () => true,
        bind: () => Effect.die("not bound here"),
        runOnce: () => Effect.die("not run here")
      }
      return Effect.acquireRelease(
        Effect.andThen(Effect.andThen(begun.open, allowed.await), Effect.as(count(file, 1), network)),
        () => count(file, -1)
      )
    }
  })
  return { held: () => [...held.values()], allowed, begun, networks }
})

it.effect("a model whose opening was interrupted holds no network twice", () =>
  Effect.gen(function*() {
    const { allowed, begun, held, networks } = yield* slowNetworks
    const model = yield* OnnxModel.make(yield* ModelFolder.read(embedded)).pipe(
      Effect.provideService(Networks, networks),
      Effect.provide(FileHashes.layer(undefined))
    )
    for (let i = 0; i < 5; i++) {
      const warming = yield* Effect.forkChild(model.warm)
      yield* begun.await
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(warming), { startImmediately: true })
      yield* allowed.open
      yield* Fiber.join(interrupting)
      yield* allowed.close
      yield* begun.close
      assert.isTrue(held().every((count) => count === 0))
    }
    yield* allowed.open
    yield* model.warm
    assert.deepStrictEqual(held(), [1, 1, 1])
  }).pipe(Effect.provide(platform)))
