/** The page `docs/conformance.md`. */
import * as Effect from "effect/Effect"
import { page, prose, table } from "../docs/markdown.ts"
import { countCases } from "./cases.ts"
import { guidance, prediction } from "./guidance.ts"
import { layouts, proof as networks, unmeasured } from "./layouts.ts"
import { type Measurement, type Proof, scientific } from "./Measurement.ts"
import { noise } from "./noise.ts"
import { deviations, embedded, families, infotextRules, promptRules } from "./rules.ts"
import { noiseLevels, samplers, schedules } from "./samplers.ts"

/** All measurements, keyed by the headings of the page. */
export const measurements = Effect.gen(function*() {
  return {
    Samplers: yield* samplers,
    Schedules: [...schedules(), ...noiseLevels()],
    Noise: noise(),
    Guidance: guidance(),
    Predictions: prediction()
  }
})

/** Every test that the page links to. */
export const proofs = (measured: Effect.Success<typeof measurements>): ReadonlyArray<Proof> => [
  ...Object.values(measured).flat().map(({ proof }) => proof),
  ...[...promptRules, ...infotextRules, ...Object.values(families).flatMap(({ runs }) => runs)].map(({ proof }) =>
    proof
  ),
  brownian,
  embedded,
  networks
]

const brownian: Proof = { file: "test/sampling/Brownian.test.ts", title: "Brownian noise" }

/** The command that makes the contact sheet of all samplers. */
export const contactSheetCommand = "serena contact-sheet --out docs/images/samplers.png"

/**
 * The whole page. `count` returns the number of cases in a test. Without `layouts` the table of checkpoints has no
 * deviations: to measure them, their networks have to run.
 */
export const conformancePage = (
  measured: Effect.Success<typeof measurements>,
  count: (proof: Proof) => number,
  layouts: ReadonlyArray<Measurement> = unmeasured
): string =>
  page(
    "# Conformance",
    "<!-- Made by `npm run docs` from the code and its tests. Do not edit. -->",
    prose(
      "Serena aims to reproduce the output of stable-diffusion-webui 1.10.1. This page lists each component, the reference " +
        "that it is compared with, the largest deviation measured, and the test that repeats the comparison."
    ),
    prose(
      "The reference values are in [test/goldens](../test/goldens/README.md), with every formula and its source. They were " +
        "computed in double precision with k-diffusion as the webui uses it, the webui's own code, diffusers and torch. " +
        "Each deviation is the largest over all values of all cases. Deviations may differ slightly between machines; the " +
        "tolerances are the same on every machine."
    ),
    "```text\nnpm test              compare numbers with the references\nnpm run test:slow     generate whole images with each kind of model\nnpm run docs          measure again and regenerate this page\n```",
    "## Samplers",
    prose(
      "Each sampler runs on a denoiser with a closed form and on fixed noise; the final latents are compared. A tolerance " +
        "is about six times the error that single precision causes in the reference itself."
    ),
    measurementTable("sampler", measured.Samplers),
    "![The same star drawn with every sampler](images/samplers.png)",
    prose(
      "All samplers with the same seed and 20 steps, on the embedded model. DPM fast splits its 20 calls into only seven " +
        "intervals and draws fresh noise in each, so it needs about 40 steps. LMS and PLMS extrapolate from earlier steps, " +
        "so they need more steps at a high CFG scale. This command creates the image:"
    ),
    `\`\`\`text\n${contactSheetCommand}\n\`\`\``,
    "## Schedules",
    measurementTable("schedule", measured.Schedules),
    "## Noise",
    measurementTable("noise", measured.Noise),
    prose(
      "Brownian noise has no reference values. Its properties are tested instead: unit variance at every noise level, " +
        "correlation only between overlapping intervals, and one path per seed " +
        `(${link(brownian)}).`
    ),
    "## Guidance and prediction",
    measurementTable("formula", [...measured.Guidance, ...measured.Predictions]),
    "## The prompt language",
    prose(
      "The tests contain results of the webui's own parser, and properties that hold for any text. All cases agree exactly; " +
        "weights agree to six digits."
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
      "Each kind of model folder, with very small networks, generates complete images. The same request produces the same " +
        "bytes; changing the seed, the prompt or the CFG scale changes them."
    ),
    table(
      ["folder", "model", "tests"],
      Object.entries(families).map(([folder, { name, runs }]) => [
        `\`${folder}\``,
        name,
        runs.map(({ name, proof }) => link(proof, name)).join(", ")
      ])
    ),
    prose(
      "The networks of the embedded model match PyTorch's output for the same weights within 1e-3 " +
        `(${link(embedded)}).`
    ),
    "## Checkpoints",
    prose(
      "UNets and VAEs that are built from checkpoints, in each layout that people have, and what torch computed from the " +
        "same files; very small networks with all parts of real ones. A tolerance is sixteen times the error that single " +
        "precision causes in torch itself, or a 100,000th of the largest value. The same test compares text encoders, ControlNets, upscalers and " +
        "tiny autoencoders."
    ),
    measurementTable("layout", layouts),
    "## Reproduction",
    prose(
      "An infotext, read with the init images and the mask given again, makes the same bytes on the same machine. " +
        "[A property test](../test/diffusion/reproduce.slow.engine.test.ts) makes random requests over all fields and " +
        "settings, and each of their images again where other random settings are in force. What a text cannot hold is " +
        "named in a warning of the run."
    ),
    prose(
      "The arithmetic of onnxruntime is not the same in every call and on every machine. These are the largest " +
        "differences seen, in levels of 255, on a processor with AVX-512; `node test/conformance/machines.ts Haswell " +
        "Nehalem` measures them again."
    ),
    table(["the same image of the embedded model", "largest difference", "samples that differ"], [
      ["as a row of a batch of 2, 3 or 4 and alone; Euler, DPM++ 2M, DPM++ SDE", "none", "none"],
      ["with one thread and two; Euler, DPM++ 2M, DPM++ SDE, DPM adaptive", "none", "none"],
      ["as a row of a batch of 4 and alone; DPM adaptive", "108", "74 %"],
      ["on Haswell (AVX2 and FMA, no AVX-512), imitated by qemu; 64x64, two steps", "1", "0.14 %"],
      ["on Nehalem (no AVX), imitated by qemu; 64x64, two steps", "1", "0.16 %"]
    ]),
    prose(
      "Where onnxruntime sums a row in another order, as for other sizes, models, batches or thread counts, it may differ " +
        "by one level from the same row alone. DPM adaptive chooses its steps from the error of the whole batch, so that " +
        "its images depend on their batch. A [slow test](../test/slow/otherProcessor.test.ts) allows two levels between " +
        "processors."
    ),
    "## Known differences",
    ...deviations.map(([subject, text]) => prose(`**${subject}.** ${text}`))
  )

/** The page for the current code. */
export const currentPage = Effect.gen(function*() {
  const count = yield* Effect.promise(() =>
    countCases([...promptRules, ...infotextRules].map(({ proof }) => proof.file))
  )
  return conformancePage(yield* measurements, count, yield* layouts)
})

const measurementTable = (what: string, rows: ReadonlyArray<Measurement>): string =>
  table(
    [what, "cases", "largest deviation", "tolerance", "tolerance used", "test"],
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
