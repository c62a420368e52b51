/** Makes a picture with `TestRuntime` and prints, as JSON, its PNG signature and the native modules of this process. */
import * as Effect from "effect/Effect"
import { processImages, Txt2Img } from "../../src/index.ts"
import { TestRuntime } from "../../src/testing/index.ts"

const { images } = await Effect.runPromise(
  Effect.provide(processImages(Txt2Img.make({ prompt: "a cat", seed: 7 })), TestRuntime.layer())
)
const report: { readonly sharedObjects: ReadonlyArray<string> } = JSON.parse(JSON.stringify(process.report.getReport()))
const native = report.sharedObjects.filter((file) => /\.node$|onnxruntime|sharp|vips/.test(file))
process.stdout.write(
  JSON.stringify({ signature: Buffer.from(images[0]?.bytes.subarray(1, 4) ?? []).toString(), native })
)
