import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Options } from "../../../src/processing/Options.ts"
import { divide, type Values } from "../../../src/server/host/SettingsPatch.ts"
import * as SettingsState from "../../../src/server/host/SettingsState.ts"

const inactive: Values = { font: "", upscaling_max_images_in_cache: 5 }

const nameOf = (written: unknown) => Option.some(String(written).toLowerCase())

// A server that starts with a file.
const started = Effect.fnUntraced(function*(values: Values) {
  const read = SettingsState.ofFile(values, inactive)
  const active = yield* Options.decode(read.divided.active)
  return {
    state: SettingsState.loaded(SettingsState.empty, read),
    snapshot: Options.patched(Options.defaults, active)
  }
})

type Server = Effect.Success<ReturnType<typeof started>>

const valuesOf = ({ snapshot, state }: Server) => SettingsState.inForce(state, inactive, snapshot)

// A server after a change by a client; models are known by their names in any case.
const changed = Effect.fnUntraced(function*(server: Server, patch: Values) {
  const current = valuesOf(server)
  const divided = divide(patch, inactive, current)
  const written = divided.active[SettingsState.checkpoint]
  const named = written === undefined ? divided : SettingsState.withModel(divided, nameOf(written), [])
  const active = yield* Options.decode(named.active)
  return {
    state: SettingsState.changed(server.state, { active, divided }, current),
    snapshot: Options.patched(server.snapshot, active)
  }
})

const Patch = Schema.Struct({
  jpeg_quality: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
  samples_save: Schema.optionalKey(Schema.Boolean),
  sd_model_checkpoint: Schema.optionalKey(Schema.Literals(["Cat", "DOG"])),
  font: Schema.optionalKey(Schema.Literals(["", "a", "b"])),
  upscaling_max_images_in_cache: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })))
})

const Command = Schema.Union([
  Schema.TaggedStruct("Change", { patch: Patch }),
  Schema.TaggedStruct("SendBack", {}),
  Schema.TaggedStruct("Restart", {})
])

describe("SettingsState", () => {
  it.effect.prop(
    "shows what was set last, keeps only what has changed, and outlives a restart, whatever happens in whatever order",
    [Schema.Array(Command)],
    ([commands]) =>
      Effect.gen(function*() {
        const foreign = { of_another_program: 1 }
        let server = yield* started(foreign)
        const model = new Map<string, unknown>(Object.entries(valuesOf(server)))
        const differed = new Set(Object.keys(foreign))
        for (const command of commands) {
          const before = server.state.kept
          switch (command._tag) {
            case "Change": {
              server = yield* changed(server, command.patch)
              for (const [name, written] of Object.entries(command.patch)) {
                const value = name === SettingsState.checkpoint ? String(written).toLowerCase() : written
                if (model.get(name) !== value) differed.add(name)
                model.set(name, value)
              }
              const written = command.patch.sd_model_checkpoint
              if (written === undefined) break
              assert.strictEqual(SettingsState.writtenModel(server.state, written.toLowerCase()), written)
              break
            }
            case "SendBack": {
              const { of_another_program: _, ...known } = valuesOf(server)
              server = yield* changed(server, known)
              assert.deepStrictEqual(server.state.kept, before)
              break
            }
            case "Restart":
              server = yield* started(before)
              assert.deepStrictEqual(server.state.kept, before)
          }
          assert.deepStrictEqual(new Map(Object.entries(valuesOf(server))), model)
          assert.deepStrictEqual(new Set(Object.keys(server.state.kept)), differed)
        }
      }),
    { arbitrary: { runs: 100 } }
  )

  it("names the known models when none is known by what a client wrote", () => {
    const patch = { active: { sd_model_checkpoint: "cow", jpeg_quality: 80 }, inactive: {}, problems: [] }
    assert.deepStrictEqual(SettingsState.withModel(patch, Option.none(), ["cat", "dog"]), {
      active: { jpeg_quality: 80 },
      inactive: {},
      problems: [{ path: "sd_model_checkpoint", message: "model 'cow' not found. Known: cat, dog" }]
    })
  })

  it("leaves the present model selected when a request overrides it with an unknown one", () => {
    const active = { sd_model_checkpoint: "cow", jpeg_quality: 80 }
    assert.deepStrictEqual(SettingsState.overriding(active, Option.none()), { jpeg_quality: 80 })
    assert.deepStrictEqual(SettingsState.overriding(active, nameOf("Cat")), { ...active, sd_model_checkpoint: "cat" })
  })

  it("lets flags go over the file, which keeps its own values", () => {
    const read = SettingsState.ofFile({ jpeg_quality: 91, font: "a", div_a: "text", other: 1 }, inactive)
    assert.deepStrictEqual(SettingsState.unflagged(read.divided.active, new Set(["jpeg_quality"])), {})
    const { kept } = SettingsState.loaded(SettingsState.empty, read)
    assert.deepStrictEqual(kept, { other: 1, jpeg_quality: 91, font: "a" })
  })
})
