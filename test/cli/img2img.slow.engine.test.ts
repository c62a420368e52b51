import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import sharp from "sharp"
import { serena } from "./command.ts"
import { lines, temporaryFolder } from "./process.ts"

const plain = (colour: string) =>
  Effect.promise(async () =>
    new Uint8Array(
      await sharp({ create: { width: 64, height: 64, channels: 3, background: colour } }).png().toBuffer()
    )
  )

describe("serena img2img", () => {
  it.live("makes images from images, in the format that is asked for, and again from what one tells", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const [red, mask] = [`${folder}/red.png`, `${folder}/mask.png`]
      yield* fs.writeFile(red, yield* plain("#ff0000"))
      yield* fs.writeFile(mask, yield* plain("#ffffff"))
      const common = ["img2img", red, "--mask", mask, "--outdir", folder, "--json", "--quiet"]
      const first = yield* serena([
        ...common,
        ..."a-star --width 64 --height 64 --steps 4 --seed 3 --denoising-strength 0.5 --no-inpaint-full-res".split(" "),
        ..."--mask-blur-x 2 --mask-blur-y 2 --set randn_source=NV".split(" ")
      ])
      assert.deepStrictEqual({ code: first.code, stderr: first.stderr }, { code: 0, stderr: "" })
      const [picture] = lines(first.stdout).map((line) => JSON.parse(line))
      assert.match(picture.infotext, /^a-star\nSteps: 4, .*Denoising strength: 0\.5, .*RNG: NV, .*Mask blur: 2, /)
      const [again, webp] = yield* Effect.all([
        serena([...common, "--from", picture.path]),
        serena([...common, "--from", picture.path, "--format", "webp"])
      ], { concurrency: 2 })
      const [same] = lines(again.stdout).map((line) => JSON.parse(line))
      assert.deepStrictEqual(yield* fs.readFile(same.path), yield* fs.readFile(picture.path))
      const [other] = lines(webp.stdout).map((line) => JSON.parse(line))
      assert.match(other.path, /\.webp$/)
      assert.strictEqual(other.infotext, picture.infotext)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
