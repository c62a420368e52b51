/**
 * What the tools take and give, as schemas: clients show their JSON Schema to language models.
 *
 * The fields of a request keep their names. Those that are listed are the usual ones; every other field of a request is
 * taken as well.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ModelFile } from "../../contract/Catalogue.ts"
import { problemsOf, refusal, unknownNames } from "../../core/Problem.ts"
import { Img2Img, Txt2Img } from "../../processing/Processing.ts"
import { ToolError } from "./ToolError.ts"

const described = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.pipe(Schema.annotateEncoded({ description })))

const image = (what: string) =>
  Schema.String.annotate({
    description: `${what}: the address of an image of an earlier result (serena://...), base64, or, where the ` +
      "server runs as a program of this client, the path of a file."
  })

const run = {
  model: described(Schema.String, "Name of the model, from list_models; otherwise the selected one."),
  save: described(Schema.Boolean, "Whether the images are saved in the server's output folder as well.")
}

const sampled = Txt2Img.mapFields(
  ({ cfg_scale, height, n_iter, negative_prompt, prompt, sampler_name, scheduler, seed, steps, width }) => ({
    prompt,
    negative_prompt,
    width,
    height,
    steps,
    cfg_scale,
    sampler_name,
    scheduler,
    seed,
    n_iter
  })
).fields

export const Generate = Schema.Struct({ ...sampled, ...run })

export const Edit = Schema.Struct({
  image: image("The image to change"),
  mask: Schema.optionalKey(image("White where the image is made anew, and of its size; without one, all of it is")),
  denoising_strength: Img2Img.fields.denoising_strength,
  ...sampled,
  ...run
})

export const Upscale = Schema.Struct({
  image: image("The image to enlarge"),
  factor: described(
    Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 8 })),
    "How much larger each side becomes, 1 to 8; 2 by default."
  ),
  upscaler: described(
    Schema.String,
    "Name of the upscaler, from list_models; by default the first network, or Lanczos where there is none."
  )
})

export const ListModels = Schema.Struct({
  kind: described(Schema.String, "Only files of this kind: checkpoint, lora, embedding, vae, controlnet, upscaler."),
  search: described(Schema.String, "Only files with this text in their names or trained words.")
})

export const ReadInfotext = Schema.Struct({ image: image("The image file") })

const side = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)).annotate({ description: "In pixels." })

/** An image of a result; the content has its pixels, in the same order. */
const Made = Schema.Struct({
  uri: Schema.String.annotate({ description: "The whole file as a resource, and what other tools take." }),
  width: side,
  height: side
})

export const Images = Schema.Struct({
  run: Schema.String,
  images: Schema.Array(Schema.Struct({
    ...Made.fields,
    seed: Schema.Union([Schema.Finite, Schema.String]),
    infotext: Schema.String,
    path: Schema.NullOr(Schema.String).annotate({ description: "Where it is saved; null where it is not." })
  })),
  warnings: Schema.Array(Schema.String)
})

export const Upscaled = Schema.Struct({ ...Made.fields, upscaler: Schema.String, infotext: Schema.String })

const { family, kind, name, problem, tag, trained_words } = ModelFile.fields

export const Listed = Schema.Struct({
  models: Schema.Array(Schema.Struct({ name, kind, family, tag, trained_words, selected: Schema.Boolean, problem })),
  upscalers: Schema.Array(Schema.String),
  samplers: Schema.Array(Schema.String),
  schedulers: Schema.Array(Schema.String)
})

export const ReadText = Schema.Struct({
  infotext: Schema.NullOr(Schema.String),
  parameters: Schema.Record(Schema.String, Schema.String),
  items: Schema.Record(Schema.String, Schema.String)
})

/** Decodes the arguments of a tool that takes no others. Fails with every problem named. */
export const decodeOf = <S extends Schema.Codec<unknown, unknown> & { readonly fields: object }>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(schema, { errors: "all" })
  return (given: Readonly<Record<string, unknown>>): Effect.Effect<S["Type"], ToolError> => {
    const unknown = unknownNames(given, { what: "argument", known: Object.keys(schema.fields) })
    const wrong = (problems: typeof unknown) => new ToolError({ reason: refusal("The call is not valid", problems) })
    return decode(given).pipe(
      Effect.mapError(({ issue }) => wrong([...problemsOf(issue), ...unknown])),
      Effect.filterOrFail(() => unknown.length === 0, () => wrong(unknown))
    )
  }
}
