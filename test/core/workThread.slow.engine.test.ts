import { assert, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Raster } from "../../src/core/Raster.ts"
import * as Work from "../../src/core/Work.ts"
import * as WorkThreads from "../../src/core/WorkThreads.ts"
import { pixelsInParts, toPixels } from "../../src/diffusion/latents.ts"
import { resizeInParts, resizing } from "../../src/images/Resample.ts"
import { resize } from "../images/whole.ts"
import { mainThreadShare } from "../mainThread.ts"
import { endless, failing, nothing } from "./works.ts"

const noise = (width: number, height: number): Raster => ({
  width,
  height,
  channels: 3,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24)
})

const run = <Args extends ReadonlyArray<unknown>, A>(work: Work.Work<Args, A>, args: Args) =>
  Effect.flatMap(Work.WorkPlace, ({ run }) => run(work, args))

const works = new URL("./works.ts", import.meta.url).href

layer(WorkThreads.layer)("a thread for long work", (it) => {
  it.effect("gives what the work gives here, and leaves its arguments as they were", () =>
    Effect.gen(function*() {
      // Small enough for a message, and large enough for a copy that is handed over.
      for (const image of [noise(300, 200), noise(1500, 950)]) {
        const before = Uint8Array.from(image.data)
        const made = yield* resizing(image, 351, 250, "lanczos")
        const expected = resize(image, 351, 250, "lanczos")
        assert.deepStrictEqual({ ...made, data: 0 }, { ...expected, data: 0 })
        assert.isTrue(Buffer.from(made.data.buffer).equals(expected.data))
        assert.isTrue(Buffer.from(before.buffer).equals(image.data))
        assert.instanceOf(made.data.buffer, ArrayBuffer)
      }
    }))

  it.effect("gives the same pixels for many numbers and for few", () =>
    Effect.gen(function*() {
      for (const { data } of [noise(300, 200), noise(1500, 950)]) {
        const planar = Float32Array.from(data, (value) => value / 100 - 1.2)
        const pixels = yield* toPixels(planar)
        assert.isTrue(Buffer.from(pixels.buffer).equals(Work.atOnce(pixelsInParts(planar))))
      }
    }))

  it.effect("leaves the main thread free", () =>
    Effect.gen(function*() {
      const image = noise(300, 300)
      yield* resizing(image, 100, 100, "lanczos")
      const share = yield* mainThreadShare(resizing(image, 2000, 2000, "lanczos"))
      assert.isBelow(share, 0.3)
    }))

  it.effect("stops work that no one waits for, and goes on with the next", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(run({ module: works, parts: endless }, []), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* run({ module: works, parts: nothing }, []), undefined)
    }))

  it.effect("gives the work's own error as a defect", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(run({ module: works, parts: failing }, []))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.match(String(exit), /no such luck/)
      const wrong = run({ module: works, parts: resizeInParts }, [noise(1, 1), 1, 1, "box", undefined])
      assert.match(String(yield* Effect.exit(wrong)), /does not export resizeInParts/)
    }))
})
