import { assert, describe, it } from "@effect/vitest"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { helpOf } from "../../src/cli/Flags.ts"
import { tables } from "../../src/cli/GenerateFlags.ts"
import * as ProcessFlags from "../../src/cli/ProcessFlags.ts"
import { RunRequest } from "../../src/contract/Run.ts"
import { type Described, fieldsOf } from "../../src/core/Field.ts"
import { ProcessOptions } from "../../src/processing/CommandOptions.ts"
import { fieldRows, plainRows } from "../../src/processing/InfotextKeys.ts"
import * as InfotextRequest from "../../src/processing/InfotextRequest.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Options } from "../../src/processing/Options.ts"
import { OptionsPatch, OptionsSnapshot } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { ServerSettings } from "../../src/server/host/ServerOptions.ts"
import { Img2ImgRequest, Txt2ImgRequest } from "../../src/server/sdapi/ImageRequest.ts"
import { formSchema } from "../../src/server/v1/Form.ts"

const structs: ReadonlyArray<readonly [name: string, struct: Described]> = [
  ["Txt2Img", Txt2Img],
  ["Img2Img", Img2Img],
  ["OptionsSnapshot", OptionsSnapshot],
  ["OptionsPatch", OptionsPatch],
  ["Limits", Limits],
  ["ProcessOptions", ProcessOptions],
  ["ServerSettings", ServerSettings]
]

describe("a field's description", () => {
  it.each(structs)("is there for every field of %s", (_, struct) => {
    assert.deepStrictEqual(
      fieldsOf(struct).map(([name]) => name),
      Object.keys(struct.fields).filter((name) => name !== "_tag")
    )
    for (const [name, { description, group, title }] of fieldsOf(struct)) {
      assert.match(title, /^[A-Z]/, name)
      assert.match(description, /^[A-Z].*\.$/, name)
      assert.notStrictEqual(group, "", name)
    }
  })

  it.each(structs)("is in the JSON Schema of every field of %s", (_, { fields }) => {
    for (const [name, field] of Object.entries(fields)) {
      // A reference has no description of its own.
      if (name === "_tag" || name === "override_settings") continue
      const described = fieldsOf({ fields: { [name]: field } })[0]?.[1]
      const { schema } = Schema.toJsonSchemaDocument(Schema.Struct({ [name]: field }))
      assert.include(JSON.stringify(schema), JSON.stringify(described?.description), name)
      assert.include(JSON.stringify(schema), JSON.stringify(described?.title), name)
    }
  })

  it("is in the requests of /v1", () => {
    const { definitions } = Schema.toJsonSchemaDocument(RunRequest)
    const missing = ([["RunTxt2Img", Txt2Img], ["RunImg2Img", Img2Img]] as const).flatMap(([identifier, struct]) => {
      const shown = JSON.stringify(definitions[identifier])
      return fieldsOf(struct).filter(([, { description }]) => !shown.includes(JSON.stringify(description)))
    })
    // A reference has no description of its own.
    assert.deepStrictEqual(missing.map(([name]) => name), ["override_settings", "override_settings"])
  })

  it("is the help of its flag", () => {
    const all = { ...tables.txt2img, ...tables.img2img, ...ProcessFlags.table }
    for (const [name, field] of Object.entries(all)) {
      assert.isTrue(helpOf(field).startsWith(field.description.replace(/\.$/, "")), name)
    }
    const requests = new Set([...Object.keys(Txt2Img.fields), ...Object.keys(Img2Img.fields)])
    assert.deepStrictEqual(
      [...requests].filter((name) => !(name in all)),
      ["_tag", "override_settings", "init_images", "mask"]
    )
  })
})

describe("a field of a request", () => {
  const requests = { Txt2Img, Img2Img }
  const each = Object.entries(requests).flatMap(([kind, struct]) =>
    fieldsOf(struct).map(([name, field]) => ({ kind, name, field }))
  )

  it.each(each)("is at every door by its description: $kind $name", ({ field, kind, name }) => {
    const { fields } = kind === "Txt2Img" ? Txt2ImgRequest : Img2ImgRequest
    // ControlNets are the arguments of a script there.
    assert.strictEqual(name in fields, name !== "control_units", "/sdapi/v1 reads it")
    assert.deepInclude(parts[name], { title: titleOf(name) }, "a form has a part for it")
    // Settings are given with --set.
    if (name !== "override_settings") assert.isDefined(field.flag, "it has a flag")
    const isRead = fieldRows.some((row) => row.name === name)
    assert.strictEqual(field.infotext !== undefined, field.unwritten === undefined, "a row, or why there is none")
    if (field.infotext !== undefined) assert.isTrue(isRead, "its row is read")
  })

  const { properties } = formSchema
  const parts: Readonly<Record<string, unknown>> = Predicate.isObject(properties) ? { ...properties } : {}

  // Titles of a form are those of the kind that has the field last.
  const titleOf = (name: string) => each.findLast((found) => found.name === name)?.field.title

  it("that is described alone is written in an infotext where it is not the default", () => {
    assert.deepInclude(plainRows, {
      struct: "setting",
      name: "vae_tile_threshold",
      key: "Tiled VAE threshold",
      defaults: Options.defaults
    })
  })
})

describe("the infotext keys of the descriptions", () => {
  it("fill the fields and settings that name them", () => {
    const values: Readonly<Record<string, string>> = {
      "Mask mode": "Inpaint masked",
      "Masked content": "fill",
      "Inpaint area": "Only masked",
      "RNG": "NV"
    }
    const requests = { fields: { ...Txt2Img.fields, ...Img2Img.fields } }
    for (
      const [struct, read] of [[requests, InfotextRequest.fieldsOf], [
        OptionsPatch,
        InfotextRequest.settingsOf
      ]] as const
    ) {
      const keyed = fieldsOf(struct).filter(([, { infotext }]) => infotext !== undefined)
      assert.isAbove(keyed.length, 25)
      for (const [name, { infotext = "" }] of keyed) {
        const said = read({ [infotext]: values[infotext] ?? "1" })
        assert.include(said.map((row) => row.name), name, infotext)
      }
    }
  })
})
