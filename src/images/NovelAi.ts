/**
 * Images by NovelAI: their texts have other names than an infotext and the same meaning.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as ExactJson from "../core/ExactJson.ts"
import { Seed } from "../core/Seed.ts"
import * as Infotext from "../processing/Infotext.ts"

const Comment = Schema.Struct({
  uc: Schema.String,
  steps: Schema.Finite,
  scale: Schema.Finite,
  seed: Seed,
  sampler: Schema.String
})

const decode = Schema.decodeUnknownOption(Schema.toCodecJson(Comment))

const read = (text: string | undefined): Option.Option<typeof Comment.Type> => {
  try {
    return text === undefined ? Option.none() : decode(ExactJson.parse(text))
  } catch {
    return Option.none()
  }
}

/** The service's names for samplers. All others are taken for Euler a, its first. */
const samplers: ReadonlyMap<string, string> = new Map([
  ["k_euler", "Euler"],
  ["k_euler_ancestral", "Euler a"],
  ["k_dpmpp_2m", "DPM++ 2M"],
  ["k_dpmpp_2m_sde", "DPM++ 2M SDE"],
  ["k_dpmpp_2s_ancestral", "DPM++ 2S a"],
  ["k_dpmpp_sde", "DPM++ SDE"],
  ["k_dpm_2", "DPM2"],
  ["k_dpm_2_ancestral", "DPM2 a"],
  ["k_dpm_fast", "DPM fast"],
  ["k_dpm_adaptive", "DPM adaptive"],
  ["k_heun", "Heun"],
  ["k_lms", "LMS"],
  ["ddim", "DDIM"],
  ["plms", "PLMS"]
])

/** The infotext of an image with these texts, or `undefined` when NovelAI did not make it. */
export const infotextOf = (image: {
  readonly texts: ReadonlyMap<string, string>
  readonly width: number
  readonly height: number
}): string | undefined => {
  if (image.texts.get("Software") !== "NovelAI") return undefined
  const comment = read(image.texts.get("Comment"))
  const prompt = image.texts.get("Description")
  if (Option.isNone(comment) || prompt === undefined) return undefined
  const { sampler, scale, seed, steps, uc } = comment.value
  return Infotext.format({
    prompt,
    negativePrompt: uc,
    parameters: [
      ["Steps", steps],
      ["Sampler", samplers.get(sampler) ?? "Euler a"],
      ["CFG scale", Infotext.float(scale)],
      ["Seed", seed],
      ["Size", `${image.width}x${image.height}`],
      ["Clip skip", 2],
      ["ENSD", 31337]
    ]
  })
}
