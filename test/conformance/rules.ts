/**
 * Rules that are compared case by case, by tests with literal results: the prompt language, infotexts, model families.
 */
import type { FamilyName } from "../models/families.ts"
import type { Proof } from "./Measurement.ts"

/** A rule, and the test that contains its cases. */
export interface Rule {
  readonly name: string
  readonly proof: Proof
}

/** A rule of the prompt language; `source` is its module in src/prompt. */
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
  prompt("Prompt", "Prompt.parse", "Order of processing, from comments to schedules"),
  prompt("Prompt", "Prompt.parseNegative", "Negative prompts: no extra networks, no `AND`, no part weights"),
  prompt("Styles", "Styles.merge", "Styles: `{prompt}` is replaced, other styles are appended after a comma"),
  prompt("Styles", "Styles.apply", "Several styles, in the order given"),
  prompt("Styles", "Styles.parse", "The styles file"),
  prompt("DynamicPrompt", "a dynamic prompt", "Dynamic prompts: `{a\\|b}` and `__wildcards__`"),
  prompt("Comments", "Comments.strip", "Comments: from `#` to the end of the line"),
  prompt("ExtraNetworks", "ExtraNetworks.extract", "Extra networks: `<name:argument>` is removed"),
  prompt("ExtraNetworks", "ExtraNetworks.lora", "Arguments of `<lora:...>`"),
  prompt("ExtraNetworks", "ExtraNetworks.hypernetwork", "Arguments of `<hypernet:...>`"),
  prompt("Composition", "Composition.split", "`AND`: parts with weights"),
  prompt("Inversions", "Inversions.finder", "Names of embeddings: the longest that is there counts"),
  prompt("PromptSchedule", "PromptSchedule.make, with ten steps", "Schedules `[a:b:when]` and alternation `[a\\|b]`"),
  prompt("PromptSchedule", "PromptSchedule.make, in the second pass after ten steps", "Schedules in a hires pass"),
  prompt("PromptSchedule", "PromptSchedule.make, old scheduling", "Schedules with `use_old_scheduling`"),
  prompt("PromptSchedule", "PromptSchedule.entryAt", "Text used by each network call"),
  prompt(
    "Characters",
    "Composition.split",
    "Whitespace and word characters of any script, as in Python",
    "Composition"
  ),
  prompt("Attention", "Attention.parse", "Attention `(a:1.2)`, `[a]`, escapes and `BREAK`"),
  prompt("Attention", "printed attention", "Pieces of any text and weight, written as a prompt"),
  prompt("Chunks", "Chunks.pack", "Chunks of 75 tokens, split after a comma or at `BREAK`"),
  prompt("Chunks", "Chunks.pad", "Padding shorter texts with empty chunks"),
  prompt("Encoding", "Encoding", "Encoding the texts of one schedule together", "Prompt"),
  prompt("Emphasis", "Emphasis.apply", "Emphasis: weights applied to embeddings, and the mean restored")
]

const infotext = (file: string, title: string, name: string): Rule => ({
  name,
  proof: { file: `test/${file}.test.ts`, title }
})

/** Writing and reading infotexts. */
export const infotextRules: ReadonlyArray<Rule> = [
  infotext("processing/Infotext", "Infotext.format", "Lines and key-value pairs"),
  infotext("processing/Infotext", "Infotext.quote", "Quoting"),
  infotext("core/Text", "pythonFloat", "Numbers as Python prints them"),
  infotext("planning/InfotextWriter", "InfotextWriter.format", "Keys of an image, and their order"),
  infotext(
    "processing/InfotextParse",
    "Infotext.parse, the worked examples",
    "Parsing: complete infotexts, sizes, old versions"
  ),
  infotext("processing/InfotextParse", "Infotext.parse, what Infotext.format wrote", "Parsing formatted infotexts"),
  infotext("processing/InfotextParse", "Infotext.parse, styles", "Styles found in a prompt"),
  infotext("processing/InfotextParse", "Infotext.parse, of anything", "Parsing any text in bounded time"),
  infotext("processing/InfotextRequest.slow.engine", "InfotextRequest.fromInfotext", "From an infotext to a request"),
  infotext("processing/InfotextRequest.slow.engine", "InfotextRequest, every key", "Every key of the reference"),
  infotext("planning/InfotextWriter", "a request comes back from its infotext", "Round trip of a request")
]

const file = "test/diffusion/families.slow.engine.test.ts"
const txt2img: Rule = { name: "text-to-image", proof: { file, title: "from a text" } }
const img2img: Rule = { name: "image-to-image", proof: { file, title: "from an image" } }
const halfPrecision: Rule = {
  name: "agreement with single precision",
  proof: { file, title: "%s in half precision is nearly the same" }
}
const otherTimestep: Rule = {
  name: "agreement with the usual timestep input",
  proof: { file, title: "is the same however the network declares its timestep, where timesteps are whole" }
}
const masked: Rule = { name: "inpainting", proof: { file, title: "keeps what is not masked, with %s" } }
const hires: Rule = { name: "as hires checkpoint", proof: { file, title: "is enlarged by another model" } }
const refined: Rule = {
  name: "with the refiner",
  proof: { file, title: "is finished by the refiner from where it is asked to be" }
}
const velocity: Rule = {
  name: "v-prediction and epsilon prediction",
  proof: { file, title: "takes the network's output for what its scheduler says it is" }
}

const of = (name: string, ...runs: ReadonlyArray<Rule>) => ({ name, runs: [txt2img, ...runs] })

/** Every kind of model folder, with a description and the tests that run it. */
export const families: Readonly<Record<FamilyName, { readonly name: string; readonly runs: ReadonlyArray<Rule> }>> = {
  sd1: of("Stable Diffusion 1", img2img, masked),
  "sd1-last-state-only": of("Stable Diffusion 1, text encoder without hidden states", img2img),
  "sd1-float16": of("Stable Diffusion 1 in half precision", img2img, halfPrecision),
  "sd1-timestep-one": of("Stable Diffusion 1, timestep as a list of one value", img2img, otherTimestep),
  "sd1-timestep-float": of("Stable Diffusion 1, timestep as a float", img2img, otherTimestep),
  "sd1-timestep-batch": of("Stable Diffusion 1, one timestep per image", img2img, otherTimestep),
  "sd1-latent-sample": of("Stable Diffusion 1, older export of the VAE encoder", img2img),
  "sd1-no-encoder": of("Stable Diffusion 1 without a VAE encoder", {
    name: "img2img error",
    proof: { file, title: "without an encoder says that img2img needs one" }
  }),
  inpainting: of("Inpainting, nine channels", img2img, masked, {
    name: "mask input of the network",
    proof: { file, title: "hides from an inpainting network what is masked, and others see no mask: %s" }
  }),
  lcm: of("LCM, guidance scale as an input", img2img, hires, {
    name: "guidance scale input",
    proof: { file, title: "follows the guidance scale in one call a step where the network reads it" }
  }),
  sd2: of("Stable Diffusion 2, v-prediction", img2img, hires, velocity),
  turbo: of("SD Turbo", img2img, velocity),
  sdxl: of("Stable Diffusion XL", img2img, masked, hires, refined),
  "sdxl-float16": of("Stable Diffusion XL in half precision", img2img, halfPrecision),
  "sdxl-refiner": of("Stable Diffusion XL refiner", img2img, refined)
}

/** The embedded model, compared with values written by its training in PyTorch. */
export const embedded: Proof = {
  file: "test/models/OnnxModel.slow.engine.test.ts",
  title: "gives the numbers that its training wrote down"
}

/** Intentional differences from the reference: `[subject, description]`. */
export const deviations: ReadonlyArray<readonly [subject: string, text: string]> = [
  [
    "Brownian noise",
    "The SDE samplers draw from a Brownian path, as in k-diffusion, but with different values than torchsde, so the " +
    "images differ. Here a path depends on its seed only: it does not change with the schedule or with `randn_source`."
  ],
  [
    "`randn_source`",
    "`GPU` selects the noise of this machine, which is the same as `CPU`. `NV` reproduces NVIDIA's noise on any machine."
  ],
  [
    "Seeds of 64 bits",
    "A seed is any integer that torch takes, -2^63 to 2^64 - 1, and images count up from it by one each; a request whose " +
    "last image would exceed the range is refused. Of the bits, the noise of `CPU` uses the low 32, as torch's Mersenne " +
    "Twister does, so seeds that differ by a multiple of 2^32 make the same noise. `NV` uses all 64, as the key of " +
    "Philox; negative seeds are their two's complement. The Brownian path of the SDE samplers uses all 64 too. " +
    "`eta_noise_seed_delta` is added within 64 bits, where the webui fails on a sum out of range."
  ],
  [
    "Fractional timesteps",
    "A network with an integer timestep input receives the nearest timestep. A network with a float input receives the " +
    "exact one."
  ],
  [
    "VAE encoder",
    "An image is encoded to the mean of its latent distribution, not to a sample from it, so encoding in img2img draws no " +
    "noise."
  ],
  [
    "UniPC",
    "The order is limited to the number of steps and to 6. The webui fails when there are fewer steps than the order; " +
    "orders above 6 exceed double precision."
  ],
  [
    "DPM adaptive",
    "Steps are never shorter than 1/4096 of the interval, so a run always terminates, whatever its tolerance. The error " +
    "is measured over the whole batch, as in k-diffusion, so an image may depend slightly on the others in its batch."
  ],
  ["Euler CFG++", "Not in stable-diffusion-webui 1.10.1. It follows the paper, arXiv:2406.08070."],
  [
    "Texts of different length",
    "A prompt and a negative prompt of different token length run in separate network calls, as in the webui by default. " +
    "The webui's `pad_cond_uncond`, which pads the shorter one so that both share a call, has no effect here."
  ],
  [
    "Batches that do not fit in memory",
    "Where a whole batch takes more memory than there is, its rows go through the network in several calls. onnxruntime " +
    "may add up fewer rows in another order, so an image may differ from that of a whole batch by one level of 255. What " +
    "fits goes through at once."
  ],
  [
    "Large images",
    "Where a call of a network would take more than 256 MiB, its attention is computed for some queries at a time. The " +
    "bytes are the same: so for the embedded model at every size and thread count that was compared, 128x128 to " +
    "1024x1024 pixels and one to three threads, and for attention of the sizes of Stable Diffusion 1 and its VAE, up " +
    "to 64 threads. Networks of half precision are computed as a whole, because their bytes would differ."
  ],
  ["Invalid weights", "`(a:1.2.3)` is read as literal text. The webui fails."],
  [
    "Unbalanced brackets",
    "Where the webui's grammar is ambiguous, as for `[a:5]]`, text that can be read as a schedule is a schedule."
  ],
  ["Emphasis `Original`", "A mean that became 0 is not restored, because restoring it would divide by zero."]
]
