/**
 * Generation parameters that other programs store as JSON: SwarmUI, ComfyUI, InvokeAI, Fooocus, Draw Things and others.
 *
 * Most of them write one object whose properties have a few names each (`synonyms`). ComfyUI writes its graph of nodes,
 * in which the parameters are found by following the links from the sampler node.
 */
import * as Predicate from "effect/Predicate"
import * as ExactJson from "../core/ExactJson.ts"

/** A JSON text in the terms of an infotext. */
export interface JsonInfotext {
  /** The program that wrote it, or `another program`. */
  readonly program: string
  /** `undefined` when no prompt was found. */
  readonly prompt: string | undefined
  readonly negativePrompt: string
  readonly parameters: ReadonlyArray<readonly [key: string, value: string]>
  /** Sentences about what was ignored. */
  readonly notes: ReadonlyArray<string>
}

/** Whether a text is meant as JSON: an object or a list of objects. A prompt such as `{cat|dog}` is not. */
export const isMeant = (text: string): boolean => /^\s*(?:\{\s*["}]|\[\s*[{[])/.test(text)

/** Reads a JSON text; `undefined` if it is not valid JSON or is cut off. */
export const read = (text: string): JsonInfotext | undefined => {
  const value = parse(text) ?? parse(text.replaceAll(/\bNaN\b(?=\s*[,\]}])/g, "null"))
  return isObject(value) ? ofObject(value) : undefined
}

/** The text entries of an image file in which other programs store JSON, the most detailed first. */
export const keywords = ["invokeai_metadata", "sd-metadata", "generation_data", "prompt", "workflow"] as const

/**
 * The JSON text among the text entries of an image file without an infotext. Easy Diffusion writes an entry for each
 * value instead, which become one object.
 */
export const among = (items: Readonly<Record<string, string>>): string | undefined =>
  keywords.map((keyword) => Object.hasOwn(items, keyword) ? items[keyword] : undefined)
    .find((text) => text !== undefined && isMeant(text)) ??
    (["prompt", "num_inference_steps"].every((name) => Object.hasOwn(items, name)) ? JSON.stringify(items) : undefined)

/** k-diffusion's names for samplers, as ComfyUI, NovelAI and others write them, without `k_` or `sample_`. */
export const samplers: ReadonlyMap<string, string> = new Map([
  ["euler", "Euler"],
  ["euler_ancestral", "Euler a"],
  ["euler_a", "Euler a"],
  ["heun", "Heun"],
  ["lms", "LMS"],
  ["dpm_2", "DPM2"],
  ["dpm_2_ancestral", "DPM2 a"],
  ["dpm_fast", "DPM fast"],
  ["dpm_adaptive", "DPM adaptive"],
  ["dpmpp_2m", "DPM++ 2M"],
  ["dpmpp_2m_sde", "DPM++ 2M SDE"],
  ["dpmpp_2m_sde_gpu", "DPM++ 2M SDE"],
  ["dpmpp_3m_sde", "DPM++ 3M SDE"],
  ["dpmpp_3m_sde_gpu", "DPM++ 3M SDE"],
  ["dpmpp_2s_ancestral", "DPM++ 2S a"],
  ["dpmpp_sde", "DPM++ SDE"],
  ["dpmpp_sde_gpu", "DPM++ SDE"],
  ["ddim", "DDIM"],
  ["plms", "PLMS"],
  ["lcm", "LCM"],
  ["uni_pc", "UniPC"],
  ["unipc", "UniPC"]
])

type Fields = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Fields => Predicate.isObject(value) && !Array.isArray(value)

const parse = (text: string): unknown => {
  try {
    return ExactJson.parse(text)
  } catch {
    return undefined
  }
}

const programs: ReadonlyArray<readonly [property: string, program: string]> = [
  ["sui_image_params", "SwarmUI"],
  ["app_version", "InvokeAI"],
  ["positive_prompt", "InvokeAI"],
  ["fooocus_scheme", "Fooocus"],
  ["metadata_scheme", "Fooocus"],
  ["base_model_hash", "Fooocus"],
  ["extraMetadata", "Civitai's generator"],
  ["num_inference_steps", "Easy Diffusion"],
  ["c", "Draw Things"],
  ["uc", "NovelAI"]
]

/** Programs that draw the noise on the processor. InvokeAI says where it did. */
const onProcessor: ReadonlySet<string> = new Set(["ComfyUI", "SwarmUI", "Fooocus"])

const ofObject = (object: Fields): JsonInfotext => {
  const graph = graphOf(object)
  if (Array.isArray(object["nodes"]) && graph === undefined) return workflow
  const program = programs.find(([property]) => property in object)?.[1] ?? (graph ? "ComfyUI" : "another program")
  const inner = [object["sui_image_params"], object["image"], nested(object["extraMetadata"]), nested(object["meta"])]
    .find(isObject)
  if (graph !== undefined && inner === undefined) return ofGraph(graph)
  return ofProperties(inner ?? object, program)
}

// The editor's graph does not say which values were used.
const workflow: JsonInfotext = {
  program: "ComfyUI's editor",
  prompt: undefined,
  negativePrompt: "",
  parameters: [],
  notes: []
}

const nested = (value: unknown): unknown => typeof value === "string" && isMeant(value) ? parse(value) : value

/** The names of each value, in lower case and without `_`, `-` and spaces. */
const synonyms = {
  prompt: ["prompt", "positiveprompt", "c", "positive"],
  negativePrompt: ["negativeprompt", "uc", "negative"],
  steps: ["steps", "numinferencesteps"],
  sampler: ["sampler", "samplername", "samplerid"],
  scheduler: ["scheduler", "schedulename", "schedule"],
  cfgScale: ["cfgscale", "cfg", "guidancescale", "scale"],
  seed: ["seed", "noiseseed"],
  width: ["width"],
  height: ["height"],
  size: ["size", "resolution"],
  model: ["model", "basemodel", "modelname", "ckptname", "modelweights", "sdmodel", "usestablediffusionmodel"],
  clipSkip: ["clipskip"],
  rng: ["randdevice"]
} as const

/** Properties that do not affect the image. */
const silent =
  /^(?:app|swarm|metadata|fooocus)?_?(?:version|scheme|hash|date|time|user|images|generation_?time|model_hash|base_model_hash|created_by)$/i

const plainName = (name: string): string => name.toLowerCase().replaceAll(/[_\s-]/g, "")

const ofProperties = (object: Fields, program: string): JsonInfotext => {
  const taken = new Set<string>()
  const byName = new Map(Object.keys(object).map((name) => [plainName(name), name]))
  const valueOf = (names: ReadonlyArray<string>): unknown => {
    const name = names.map((each) => byName.get(each)).find((each) => each !== undefined && object[each] !== null)
    if (name === undefined) return undefined
    taken.add(name)
    return object[name]
  }
  const textOf = (names: ReadonlyArray<string>) => scalar(valueOf(names))
  const prompt = promptText(valueOf(synonyms.prompt))
  const negativePrompt = promptText(valueOf(synonyms.negativePrompt)) ?? ""
  const [named, schedule] = [textOf(synonyms.sampler), textOf(synonyms.scheduler)]
  // InvokeAI calls its samplers schedulers.
  const { sampler, scheduler } = named === undefined ? withSchedule(schedule) : { sampler: named, scheduler: schedule }
  const model = valueOf(synonyms.model)
  const [width, height] = [textOf(synonyms.width), textOf(synonyms.height)]
  const size = textOf(synonyms.size)
  const parameters = pairs({
    steps: textOf(synonyms.steps),
    sampler,
    scheduler,
    cfgScale: textOf(synonyms.cfgScale),
    seed: textOf(synonyms.seed),
    size: width === undefined || height === undefined ? sizeIn(size) : `${width}x${height}`,
    model: isObject(model) ? scalar(model["name"] ?? model["model_name"]) : scalar(model),
    clipSkip: clipSkipOf(textOf(synonyms.clipSkip), program),
    rng: onProcessor.has(program) ? "CPU" : textOf(synonyms.rng)?.toUpperCase()
  })
  const left = Object.keys(object).filter((name) => !taken.has(name) && !silent.test(name) && !isNothing(object[name]))
  const notes = left.length === 0 ? [] : [`${program} also wrote ${listed(left)}, which ${wasNot(left.length)} used.`]
  return { program, prompt, negativePrompt, parameters, notes }
}

// InvokeAI counts the layers that it leaves out, the webui from 1 for none. Other values mean that it is off.
const clipSkipOf = (text: string | undefined, program: string): string | undefined => {
  const layers = Number(text) + (program === "InvokeAI" ? 1 : 0)
  return Number.isInteger(layers) && layers > 1 ? String(layers) : undefined
}

const wasNot = (count: number): string => count === 1 ? "was not" : "were not"

const isNothing = (value: unknown): boolean =>
  value === null || value === false || value === "" || value === "None" || value === "False" ||
  (Array.isArray(value) && value.length === 0) ||
  (isObject(value) && Object.keys(value).length === 0)

/** Names as part of a sentence, shortened. */
export const listed = (names: ReadonlyArray<string>, most = 20): string => {
  const shown = names.slice(0, most).map((name) => name.length > 40 ? `${name.slice(0, 40)}...` : name).join(", ")
  return names.length > most ? `${shown} and ${names.length - most} more` : shown
}

const scalar = (value: unknown): string | undefined =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : undefined

// InvokeAI once wrote a list of weighted prompts.
const promptText = (value: unknown): string | undefined => {
  if (typeof value === "string") return isMeant(value) && parse(value) !== undefined ? undefined : value
  if (!Array.isArray(value)) return undefined
  const texts = value.flatMap((each: unknown) =>
    typeof each === "string" ? [each] : isObject(each) && typeof each["prompt"] === "string" ? [each["prompt"]] : []
  )
  return texts.length === 0 ? undefined : texts.join(", ")
}

const sizeIn = (text: string | undefined): string | undefined => {
  const [, width, height] = /^\D{0,3}(\d{1,6})\s*[x×,*]\s*(\d{1,6})\D{0,3}$/.exec(text ?? "") ?? []
  return width === undefined ? undefined : `${width}x${height}`
}

const schedules = new Map([["k", "Karras"], ["karras", "Karras"], ["exponential", "Exponential"]])

const withSchedule = (name: string | undefined) => {
  const [, sampler, suffix = ""] = /^(.{1,60}?)(?:_(k|karras|exponential))?$/.exec(name ?? "") ?? []
  return { sampler, scheduler: schedules.get(suffix) }
}

const pairs = (values: {
  readonly steps: string | undefined
  readonly sampler: string | undefined
  readonly scheduler: string | undefined
  readonly cfgScale: string | undefined
  readonly seed: string | undefined
  readonly size: string | undefined
  readonly model: string | undefined
  readonly clipSkip: string | undefined
  readonly rng: string | undefined
}): JsonInfotext["parameters"] => {
  const { sampler, scheduler } = values
  const all: ReadonlyArray<readonly [string, string | undefined]> = [
    ["Steps", values.steps],
    ["Sampler", sampler && (samplers.get(sampler.toLowerCase().replace(/^(?:k|sample)_/, "")) ?? sampler)],
    ["Schedule type", scheduler === "ddim_uniform" ? "DDIM" : scheduler],
    ["CFG scale", values.cfgScale],
    ["Seed", values.seed],
    ["Size", values.size],
    ["Model", values.model],
    ["Clip skip", values.clipSkip],
    // Another device's noise is that of a graphics card.
    ["RNG", values.rng === undefined || values.rng === "CPU" ? values.rng : "GPU"]
  ]
  return all.flatMap(([key, value]) => value === undefined || value === "" ? [] : [[key, value] as const])
}

interface Node {
  readonly type: string
  readonly inputs: Fields
}

type Graph = ReadonlyMap<string, Node>

// The nodes of ComfyUI's API format: `{"3": {"class_type": "KSampler", "inputs": {...}}}`.
const graphOf = (object: Fields): Graph | undefined => {
  const nodes = Object.entries(object).flatMap(([id, node]) =>
    isObject(node) && typeof node["class_type"] === "string" && isObject(node["inputs"])
      ? [[id, { type: node["class_type"], inputs: node["inputs"] }] as const]
      : []
  )
  return nodes.length === 0 ? undefined : new Map(nodes)
}

const isSampler = ({ inputs, type }: Node): boolean =>
  /sampler/i.test(type) && ["positive", "guider", "latent_image", "steps"].some((name) => name in inputs) &&
  ("positive" in inputs || "guider" in inputs)

const promptInputs = ["text", "text_g", "text_l", "t5xxl", "clip_l", "prompt", "string", "value", "wildcard_text"]

const ofGraph = (graph: Graph): JsonInfotext => {
  const passes = [...graph.values()].filter(isSampler)
  const pass = passes.find((node) => find(graph, node.inputs["latent_image"], ["width"], numberIn) !== undefined) ??
    passes[0]
  const program = "ComfyUI"
  if (pass === undefined) return { program, prompt: undefined, negativePrompt: "", parameters: [], notes: [] }
  const { inputs } = pass
  const conditioning = (side: "positive" | "negative", other: string) =>
    find(graph, inputs[side] ?? inputs["guider"], promptInputs, textIn, new Set([other, ...elsewhere]))
  const number = (...names: ReadonlyArray<string>) => find(graph, inputs, names, numberIn, promptSides)
  const name = (...names: ReadonlyArray<string>) => find(graph, inputs, names, textIn, promptSides)
  const latent = inputs["latent_image"]
  const [width, height] = [find(graph, latent, ["width"], numberIn), find(graph, latent, ["height"], numberIn)]
  const others = new Set([...graph.values()].map(({ type }) => type).filter((type) => changing.test(type)))
  return {
    program,
    prompt: conditioning("positive", "negative"),
    negativePrompt: "negative" in inputs ? conditioning("negative", "positive") ?? "" : "",
    parameters: pairs({
      steps: number("steps"),
      sampler: name("sampler_name", "sampler"),
      scheduler: name("scheduler"),
      cfgScale: number("cfg"),
      seed: number("seed", "noise_seed"),
      size: width === undefined || height === undefined ? undefined : `${width}x${height}`,
      model: name("ckpt_name", "unet_name"),
      clipSkip: undefined,
      rng: "CPU"
    }),
    notes: [
      ...(passes.length > 1 ? [`ComfyUI sampled ${passes.length} times; only one pass was used.`] : []),
      ...(others.size === 0 ? [] : [`ComfyUI used nodes that were ignored: ${listed([...others])}.`])
    ]
  }
}

const promptSides = new Set(["positive", "negative"])
const elsewhere = ["clip", "model", "vae", "image", "latent_image", "noise", "sigmas"]
const changing = /lora|control_?net|ip-?adapter|hypernetwork|upscale|clipsetlastlayer/i

const textIn = (value: unknown): string | undefined => typeof value === "string" ? value : undefined
const numberIn = (value: unknown): string | undefined =>
  typeof value === "number" || (typeof value === "string" && /^-?\d+$/.test(value)) ? String(value) : undefined

// The nearest value under one of these names, following links (`["4", 0]`) from a link or from a node's inputs.
const find = (
  graph: Graph,
  from: unknown,
  names: ReadonlyArray<string>,
  read: (value: unknown) => string | undefined,
  closed: ReadonlySet<string> = new Set()
): string | undefined => {
  const seen = new Set<string>()
  let level: ReadonlyArray<Fields> = isObject(from) ? [from] : linked(graph, from, seen)
  while (level.length > 0) {
    for (const inputs of level) {
      for (const name of names) {
        const value = read(inputs[name])
        if (value !== undefined) return value
      }
    }
    level = level.flatMap((inputs) =>
      Object.entries(inputs).flatMap(([name, value]) => closed.has(name) ? [] : linked(graph, value, seen))
    )
  }
  return undefined
}

const linked = (graph: Graph, value: unknown, seen: Set<string>): ReadonlyArray<Fields> => {
  if (!Array.isArray(value) || value.length !== 2) return []
  const id = String(value[0])
  const node = graph.get(id)
  if (node === undefined || seen.has(id)) return []
  seen.add(id)
  return [node.inputs]
}
