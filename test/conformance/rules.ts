/** What is compared case by case, by tests with written-out results: the prompt language, infotexts, model families. */
import type { FamilyName } from "../models/families.ts"
import type { Proof } from "./Measurement.ts"

/** A rule, and the test that has its cases. */
export interface Rule {
  readonly name: string
  readonly proof: Proof
}

/** A rule of the prompt language; `source` is where it is written, in src/prompt. */
export interface PromptRule extends Rule {
  readonly source: string
}

const prompt = (source: string, title: string, name: string, file = source): PromptRule => ({
  name,
  source,
  proof: { file: `test/prompt/${file}.test.ts`, title }
})

/** In the order in which a prompt is read. */
export const promptRules: ReadonlyArray<PromptRule> = [
  prompt("Prompt", "Prompt.parse", "The order of work, from comments to schedules"),
  prompt("Prompt", "Prompt.parseNegative", "Negative prompts: no networks, no `AND`, no weights"),
  prompt("Prompt", "Prompt.parseBatch", "Batches: the first prompt's networks count for all"),
  prompt("Styles", "Styles.merge", "Styles: `{prompt}` is replaced, other styles follow after a comma"),
  prompt("Styles", "Styles.apply", "Several styles, in the order of their names"),
  prompt("Styles", "Styles.parse", "The file of styles"),
  prompt("Comments", "Comments.strip", "Comments: from `#` to the end of the line"),
  prompt("ExtraNetworks", "ExtraNetworks.extract", "Extra networks: `<name:argument>` is taken out"),
  prompt("ExtraNetworks", "ExtraNetworks.lora", "Arguments of `<lora:...>`"),
  prompt("ExtraNetworks", "ExtraNetworks.hypernetwork", "Arguments of `<hypernet:...>`"),
  prompt("Composition", "Composition.split", "`AND`: parts with weights"),
  prompt("PromptSchedule", "PromptSchedule.make, with ten steps", "Schedules `[a:b:when]` and alternation `[a\\|b]`"),
  prompt("PromptSchedule", "PromptSchedule.make, in the second pass after ten steps", "Schedules in a hires pass"),
  prompt("PromptSchedule", "PromptSchedule.make, old scheduling", "Schedules with `use_old_scheduling`"),
  prompt("PromptSchedule", "PromptSchedule.entryAt", "Which text a call of the network uses"),
  prompt("Characters", "Composition.split", "White space and words of any script, as Python has them", "Composition"),
  prompt("Attention", "Attention.parse", "Attention `(a:1.2)`, `[a]`, escapes and `BREAK`"),
  prompt("Attention", "Attention.print", "Pieces written back to a prompt that means the same"),
  prompt("Chunks", "Chunks.pack", "Chunks of 75 tokens, broken after a comma or by `BREAK`"),
  prompt("Chunks", "Chunks.pad", "Empty chunks for texts that are shorter than others"),
  prompt("Encoding", "Encoding", "Texts of one schedule, encoded together", "Prompt"),
  prompt("Emphasis", "Emphasis.apply", "Emphasis: weights on embeddings, and the mean restored")
]

const infotext = (file: string, title: string, name: string): Rule => ({
  name,
  proof: { file: `test/processing/${file}.test.ts`, title }
})

/** Writing and reading what a picture tells of itself. */
export const infotextRules: ReadonlyArray<Rule> = [
  infotext("Infotext", "Infotext.format", "Lines and pairs"),
  infotext("Infotext", "Infotext.quote", "Quotes"),
  infotext("Infotext", "Infotext.pythonFloat", "Numbers as Python prints them"),
  infotext("InfotextWriter", "InfotextWriter.format", "Which pairs a picture has, in which order"),
  infotext("InfotextParse", "Infotext.parse, the worked examples", "Reading: whole texts, sizes, old versions"),
  infotext("InfotextParse", "Infotext.parse, what Infotext.format wrote", "Reading back what was written"),
  infotext("InfotextParse", "Infotext.parse, styles", "Styles found in a prompt"),
  infotext("InfotextParse", "Infotext.parse, of anything", "Any text, in bounded time"),
  infotext("InfotextRequest", "InfotextRequest.fromInfotext", "From a text to a request"),
  infotext("InfotextRequest", "InfotextRequest, every key", "Every key of the reference"),
  infotext("InfotextWriter", "a request comes back from its infotext", "A request, written and read, is the same")
]

const file = "test/diffusion/families.test.ts"
const fromText: Rule = { name: "from a text", proof: { file, title: "from a text" } }
const fromPicture: Rule = { name: "from a picture", proof: { file, title: "from a picture" } }
const inHalf: Rule = {
  name: "compared with single precision",
  proof: { file, title: "%s in half precision is nearly the same" }
}
const otherTimestep: Rule = {
  name: "compared with the usual timestep",
  proof: { file, title: "is the same however the network declares its timestep, where timesteps are whole" }
}
const masked: Rule = { name: "under a mask", proof: { file, title: "keeps what is not masked, with %s" } }
const enlarging: Rule = { name: "as the hires model", proof: { file, title: "is enlarged by another model" } }
const refined: Rule = {
  name: "with the refiner",
  proof: { file, title: "is finished by the refiner from where it is asked to be" }
}
const velocity: Rule = {
  name: "velocity against noise",
  proof: { file, title: "takes the network's output for what its scheduler says it is" }
}

const of = (name: string, ...runs: ReadonlyArray<Rule>) => ({ name, runs: [fromText, ...runs] })

/** Every kind of model folder in words, and what was run with it. */
export const families: Readonly<Record<FamilyName, { readonly name: string; readonly runs: ReadonlyArray<Rule> }>> = {
  sd1: of("Stable Diffusion 1", fromPicture, masked),
  "sd1-last-state-only": of("Stable Diffusion 1, text encoder without hidden states", fromPicture),
  "sd1-float16": of("Stable Diffusion 1 in half precision", fromPicture, inHalf),
  "sd1-timestep-one": of("Stable Diffusion 1, timestep as a list of one", fromPicture, otherTimestep),
  "sd1-timestep-float": of("Stable Diffusion 1, timestep as a float", fromPicture, otherTimestep),
  "sd1-timestep-batch": of("Stable Diffusion 1, a timestep for each picture", fromPicture, otherTimestep),
  "sd1-latent-sample": of("Stable Diffusion 1, older export of the VAE encoder", fromPicture),
  "sd1-no-encoder": of("Stable Diffusion 1 without a VAE encoder", {
    name: "the error of img2img",
    proof: { file, title: "without an encoder says that img2img needs one" }
  }),
  inpainting: of("Inpainting, nine channels", fromPicture, masked, {
    name: "what the network sees of the mask",
    proof: { file, title: "hides from an inpainting network what is masked, and others see no mask: %s" }
  }),
  lcm: of("LCM, guidance scale as an input", fromPicture, enlarging, {
    name: "the guidance scale",
    proof: { file, title: "follows the guidance scale in one call a step where the network reads it" }
  }),
  sd2: of("Stable Diffusion 2, v-prediction", fromPicture, enlarging, velocity),
  turbo: of("SD Turbo", fromPicture, velocity),
  sdxl: of("Stable Diffusion XL", fromPicture, masked, enlarging, refined),
  "sdxl-float16": of("Stable Diffusion XL in half precision", fromPicture, inHalf),
  "sdxl-refiner": of("Stable Diffusion XL refiner", fromPicture, refined)
}

/** The model that comes along, against the numbers of its training in PyTorch. */
export const embedded: Proof = {
  file: "test/models/OnnxModel.test.ts",
  title: "gives the numbers that its training wrote down"
}

/** Where results are not the reference's, on purpose. `[what, how]` */
export const deviations: ReadonlyArray<readonly [subject: string, text: string]> = [
  [
    "Brownian noise",
    "The SDE samplers draw from a Brownian path, as in k-diffusion, but its values are not torchsde's: the pictures are " +
    "others. Here a path belongs to its seed and does not change with the schedule."
  ],
  [
    "Noise of graphics cards",
    "`GPU` means this machine's own noise, which is the processor's. `NV` is NVIDIA's, anywhere."
  ],
  [
    "Timesteps between whole ones",
    "A network whose timestep is an integer is told the nearest one. One that reads floats is told the exact one."
  ],
  [
    "VAE encoder",
    "A picture is encoded to the mean of its latent, not to a sample around it: img2img draws no noise there."
  ],
  [
    "UniPC",
    "Its order is at most the number of steps, and 6. The webui fails for fewer steps than the order; higher orders are " +
    "beyond double precision."
  ],
  [
    "DPM adaptive",
    "It takes no steps shorter than 1/4096 of the way, so that no tolerance makes a run endless. The error is measured over " +
    "the whole batch, as in k-diffusion: a picture may differ a little with its neighbours."
  ],
  ["Euler CFG++", "stable-diffusion-webui 1.10.1 does not have it. It follows the paper, arXiv:2406.08070."],
  [
    "Texts of different length",
    "The shorter ones are filled up with empty chunks, as a network call takes one length. The webui makes calls apart, or " +
    "fills up as well with `pad_cond_uncond`."
  ],
  ["Weights that are no numbers", "`(a:1.2.3)` is read as text. The webui fails."],
  [
    "Loose brackets",
    "Where the webui's parser is undecided, as for `[a:5]]`, what can be a schedule is one."
  ],
  ["Emphasis `Original`", "A mean that became 0 is not restored, as it would be divided by."]
]
