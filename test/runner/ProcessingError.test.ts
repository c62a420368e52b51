import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { ImageCodecError } from "../../src/images/ImageError.ts"
import { ModelNotFound } from "../../src/model/ModelError.ts"
import { InvalidProcessing } from "../../src/processing/InvalidProcessing.ts"
import { ProcessingError } from "../../src/runner/ProcessingError.ts"
import { UnknownSampler, UnknownScheduler } from "../../src/sampling/SamplingError.ts"
import { everyError } from "./everyError.ts"

const wire = Schema.toCodecJson(ProcessingError)
const known = ["Euler", "Euler a", "Heun", "DPM++ 2M"]

describe("ProcessingError", () => {
  it.effect.each(everyError)("$_tag survives the wire: same class, same message", (error) =>
    Effect.gen(function*() {
      const json = JSON.stringify(yield* Schema.encodeEffect(wire)(error))
      const back = yield* Schema.decodeUnknownEffect(wire)(JSON.parse(json))
      assert.strictEqual(back.constructor, error.constructor)
      assert.strictEqual(back.message, error.message)
      assert.strictEqual(back._tag, error._tag)
      assert.deepStrictEqual(yield* Schema.encodeEffect(wire)(back), yield* Schema.encodeEffect(wire)(error))
    }))

  it.each(everyError)("$_tag says what happened, and then what to do", (error) => {
    assert.match(error.message, /^(The|No) .+\. ?.+[.]$/s)
    assert.match(error.message, /[Cc]orrect |Did you mean |Known: |Check |Try |run the request again|Choose another /)
  })

  it("speaks of image files of every format", () => {
    assert.strictEqual(
      new ImageCodecError({ reason: "it ends too early" }).message,
      "The image cannot be read or written: it ends too early. Check that it is a whole image file."
    )
  })

  it.each(everyError)("$_tag is an Error like any other", (error) => {
    assert.instanceOf(error, Error)
    assert.isString(error.stack)
  })
})

describe("an error in a log", () => {
  it.each(everyError)("$_tag shows its sentence, tag and stack on the console", (error) => {
    const shown = inspect(error)
    assert.include(shown, `${error._tag}: ${error.message}\n`)
    assert.match(shown, /\n +at /)
  })

  it.each(everyError)("$_tag is tag, fields, message and stack in JSON", (error) => {
    const { message, stack } = error
    assert.deepStrictEqual(JSON.parse(JSON.stringify(error)), { ...error, message, stack })
    assert.strictEqual(JSON.parse(JSON.stringify(error))._tag, error._tag)
  })

  it("of every class in the sources is readable", () => {
    const source = fileURLToPath(new URL("../../src/", import.meta.url))
    const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
    const classes = files.flatMap((file) => {
      const text = readFileSync(join(source, file), "utf8")
      return [...text.matchAll(/^(?:export )?class (\w+) extends Schema\.TaggedError.*?^\}$/gms)]
        .map(([text, name = ""]) => ({ name, isReadable: text.includes("readableError(this)") }))
    })
    assert.isAtLeast(classes.length, 30)
    assert.deepStrictEqual(classes.filter(({ isReadable }) => !isReadable), [])
  })
})

describe("what an error proposes", () => {
  it("in the message of an unknown sampler or scheduler, with every known name", () => {
    assert.strictEqual(
      new UnknownSampler({ sampler: "Eular", known }).message,
      `No sampler is named "Eular". Did you mean "Euler"? Known: Euler, Euler a, Heun, DPM++ 2M. See also "serena samplers".`
    )
    assert.strictEqual(
      new UnknownScheduler({ scheduler: "quantum leap", known: ["Karras"] }).message,
      `No scheduler is named "quantum leap". Known: Karras. See also "serena samplers".`
    )
  })

  it("where to put a model when there is none, and the nearest one when there are some", () => {
    assert.strictEqual(
      new ModelNotFound({ model: "sd15", searched: ["/a", "/b"], known: [] }).message,
      `No model "sd15" was found. Looked in /a and /b. Put a model folder there or name another with --models-dir.`
    )
    assert.include(
      new ModelNotFound({ model: "sd16", searched: ["/a"], known: ["sd15", "xl"] }).message,
      `Did you mean "sd15"?`
    )
  })

  it("every place to correct, in one message", () => {
    const problems = [{ path: "steps", message: "too many" }, { path: "", message: "not an object" }]
    assert.strictEqual(
      new InvalidProcessing({ problems }).message,
      "The request cannot be processed: not an object. Correct steps: too many."
    )
  })
})
