/** The page `docs/conformance.md`. */
import * as Effect from "effect/Effect"
import { countCases } from "./cases.ts"
import { guidance, prediction } from "./guidance.ts"
import { type Measurement, type Proof, scientific } from "./Measurement.ts"
import { noise } from "./noise.ts"
import { deviations, embedded, families, infotextRules, promptRules } from "./rules.ts"
import { noiseLevels, samplers, schedules } from "./samplers.ts"

/** All that is measured, by the headings of the page. */
export const measurements = Effect.gen(function*() {
  return {
    Samplers: yield* samplers,
    Schedules: [...schedules(), ...noiseLevels()],
    Noise: noise(),
    Guidance: guidance(),
    Predictions: prediction()
  }
})

/** Every test that the page names. */
export const proofs = (measured: Effect.Success<typeof measurements>): ReadonlyArray<Proof> => [
  ...Object.values(measured).flat().map(({ proof }) => proof),
  ...[...promptRules, ...infotextRules, ...Object.values(families).flatMap(({ runs }) => runs)].map(({ proof }) =>
    proof
  ),
  brownian,
  embedded
]

const brownian: Proof = { file: "test/sampling/Brownian.test.ts", title: "Brownian noise" }

/** The command that makes the picture of all samplers. */
export const pictureCommand = "serena contact-sheet --out docs/images/samplers.png"

/** The whole page. `count` gives the number of cases that a test has. */
export const conformancePage = (
  measured: Effect.Success<typeof measurements>,
  count: (proof: Proof) => number
): string =>
  page(
    "# What agrees with what",
    "<!-- Made by `npm run docs` from the code and its tests. Do not edit. -->",
    prose(
      "Serena wants to make the pictures that stable-diffusion-webui 1.10.1 makes. This page lists each part of that, what " +
        "it was compared with, how far it was off, and the test that compares it again whenever the tests run."
    ),
    prose(
      "The reference numbers are in [test/goldens](../test/goldens/README.md), with every formula and its source. They were " +
        "computed in double precision with k-diffusion as the webui uses it, the webui's own code, diffusers and torch. " +
        "Deviations are the largest of all values of all cases. Another machine may show slightly other ones; the " +
        "tolerances are the same everywhere."
    ),
    "```text\nnpm test              compare everything\nnpm run docs          measure again and write this page\n```",
    "## Samplers",
    prose(
      "Each sampler runs on a denoiser that is known in closed form, with noise that is known. The latents at the end are " +
        "compared. A tolerance is about six times what single precision costs the reference itself."
    ),
    measurementTable("sampler", measured.Samplers),
    "![The same star by every sampler](images/samplers.png)",
    prose(
      "All samplers from one seed, 20 steps, by the embedded model. DPM fast has only seven intervals for its 20 calls and " +
        "draws fresh noise in each: it needs about 40 steps. LMS and PLMS extrapolate from earlier steps, so they need more " +
        "of them where guidance is strong. The picture is made by this command:"
    ),
    `\`\`\`text\n${pictureCommand}\n\`\`\``,
    "## Schedules",
    measurementTable("schedule", measured.Schedules),
    "## Noise",
    measurementTable("noise", measured.Noise),
    prose(
      "Brownian noise has no reference numbers. Its laws are tested: unit noise at every level, correlated where intervals " +
        `overlap and nowhere else, one path for one seed (${link(brownian)}).`
    ),
    "## Guidance and prediction",
    measurementTable("formula", [...measured.Guidance, ...measured.Predictions]),
    "## The prompt language",
    prose(
      "Results of the webui's own parser, written out in the tests, and laws for texts of any kind. All cases agree exactly, " +
        "weights to six digits."
    ),
    table(
      ["rule", "source", "cases", "test"],
      promptRules.map(({ name, proof, source }) => [
        name,
        `[${source}](../src/prompt/${source}.ts)`,
        String(count(proof)),
        link(proof)
      ])
    ),
    "## Infotexts",
    table(
      ["rule", "cases", "test"],
      infotextRules.map(({ name, proof }) => [name, String(count(proof)), link(proof)])
    ),
    "## Model families",
    prose(
      "Each kind of model folder, with networks at the size of a toy, makes whole pictures: the same request gives the same " +
        "bytes, and seed, prompt and guidance scale change them."
    ),
    table(
      ["folder", "model", "what was run"],
      Object.entries(families).map(([folder, { name, runs }]) => [
        `\`${folder}\``,
        name,
        runs.map(({ name, proof }) => link(proof, name)).join(", ")
      ])
    ),
    prose(
      `The networks of the embedded model give what PyTorch gave for the same weights, within 1e-3 (${link(embedded)}).`
    ),
    "## Where it differs",
    ...deviations.map(([subject, text]) => prose(`**${subject}.** ${text}`))
  )

/** The page as it is now. */
export const currentPage = Effect.gen(function*() {
  const count = yield* Effect.promise(() =>
    countCases([...promptRules, ...infotextRules].map(({ proof }) => proof.file))
  )
  return conformancePage(yield* measurements, count)
})

const page = (...parts: ReadonlyArray<string>): string => `${parts.join("\n\n")}\n`

/** A paragraph in lines of 120 characters at most. */
const prose = (text: string): string =>
  text.split(" ").reduce((lines, word) => {
    const last = lines.slice(lines.lastIndexOf("\n") + 1)
    return lines === "" ? word : last.length + word.length < 120 ? `${lines} ${word}` : `${lines}\n${word}`
  }, "")

// Columns are padded as the formatter pads them.
const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>, fill: string) =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width, fill)).join(" | ")} |`
  return [line(head, " "), line([], "-"), ...rows.map((row) => line(row, " "))].join("\n")
}

const measurementTable = (what: string, rows: ReadonlyArray<Measurement>): string =>
  table(
    [what, "cases", "largest deviation", "tolerance", "of it used", "test"],
    rows.map(({ cases, deviation, name, proof, share, tolerance }) => [
      name,
      String(cases),
      deviation === 0 ? "none" : scientific(deviation),
      tolerance,
      percent(share),
      link(proof)
    ])
  )

const percent = (share: number): string =>
  share === 0 ? "none" : share < 0.01 ? "less than 1 %" : `${Math.ceil(share * 100)} %`

const link = ({ file, title }: Proof, text = title): string => `[${text.replaceAll("|", "\\|")}](../${file})`
