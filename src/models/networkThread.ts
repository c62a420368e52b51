/**
 * The thread that runs the networks. onnxruntime's `run` blocks the thread that calls it, so this thread does nothing
 * else.
 *
 * It holds networks and calls (a network with its input and output buffers bound), both by number, and answers requests
 * one after the other. A network that shares the memory has a session only while it is the latest one used. One that
 * large calls made hold more memory than `mostHeld` loses it, and its session with it, when nothing is bound to it any
 * more. Large calls run on another form of the network, whose attention is computed in slices. The thread is started by
 * `Networks` only.
 */
import { statSync } from "node:fs"
import { open, readFile } from "node:fs/promises"
import { dirname, join, parse, resolve } from "node:path"
import { parentPort, workerData } from "node:worker_threads"
import { InferenceSession, Tensor } from "onnxruntime-node"
import type { MemoryEstimate } from "../model/LoadedModel.ts"
import { available, held } from "./availableMemory.ts"
import { Graph } from "./graph/Graph.ts"
import { add, real, single } from "./graph/operators.ts"
import { int8Graph, int8Outline } from "./int8.ts"
import { bytesOf, gather, type Joining, jointFormOf, jointTensor, scatter } from "./joinings.ts"
import { loadProblem } from "./loadProblem.ts"
import type {
  Bound,
  Command,
  NetworkInfo,
  OpenOptions,
  Reply,
  Request,
  Sessions,
  SharedTensor
} from "./networkProtocol.ts"
import * as deepCache from "./onnx/deepCache.ts"
import * as Onnx from "./onnx/Onnx.ts"
import { count } from "./onnx/shapes.ts"
import { skeleton } from "./onnx/skeleton.ts"
import { sketched, slicedAttention } from "./onnx/slicedAttention.ts"
import * as tokenMerging from "./onnx/tokenMerging.ts"
import { type InputDims, withOverhead, workingMemory } from "./onnx/workingMemory.ts"
import { fileNames, findOptimised } from "./optimisedFiles.ts"
import { seamless } from "./seamless.ts"

// onnxruntime takes bytes of half precision as a Float16Array where the language has one, and its native part then
// finds no numbers in them (onnxruntime 1.30 on Node 24). Without the class it takes them as the Uint16Array that they
// are.
Reflect.deleteProperty(globalThis, "Float16Array")

/** A network in the form that its file has, and with its attention in slices. */
interface Network {
  readonly whole: Form
  readonly sliced: Form
  /** The attention whose tokens may be merged, from when it is first asked for. */
  attention: tokenMerging.MergedAttention | undefined
}

/** A form of a network, all of it, or one of the two parts that `deepCache.split` makes of it. */
interface Form {
  readonly options: OpenOptions
  readonly isSliced: boolean
  /** Whether it merges tokens, as many as its inputs say. */
  readonly isMerging: boolean
  readonly part: "all" | "deep" | "shallow"
  /** Its parts, from when they are first asked for. */
  parts: Parts | undefined
  /** The same with tokens merged, likewise. */
  merging: Form | undefined
  session: InferenceSession | undefined
  /** Bytes by which opening the session made the process grow, and by which its calls did: that stays allocated. */
  weights: number
  held: number
  /** Calls that are bound to it. */
  bound: number
  /** The graph without its weights; undefined until it is asked for, null where there is none. */
  graph: Onnx.Model | null | undefined
  readonly estimates: Map<string, number | undefined>
  /** Image or latent values of the largest call that made the process grow, and what it holds since. */
  measured: Measured | undefined
}

interface Parts {
  readonly deep: Form
  readonly shallow: Form
}

interface Measured {
  readonly values: number
  readonly bytes: number
}

interface Call {
  readonly bound: Bound
  readonly network: Network
  readonly form: Form
  /** Values of its images or latents. */
  readonly values: number
  readonly feeds: Record<string, Tensor>
  readonly fetches: Record<string, Tensor>
  /** Where deep layers are reused: the form for it, and what the deep part gave. */
  readonly shallow: Form | undefined
  kept: Record<string, Tensor>
  /** The sessions that have run it: onnxruntime holds what their later runs take. */
  readonly ran: WeakSet<InferenceSession>
}

/** A call for several: what it reads is copied from theirs, and what it gives to theirs. */
interface Joint {
  readonly form: string
  readonly call: Call
}

const networks = new Map<number, Network>()
const calls = new Map<number, Call>()
/** Calls for several of one form, by that and their rows, in the order of their last use. */
const joints = new Map<string, Joint>()
const mostJoints = 8
let opened = 0
let sessions = 0

class Unloaded extends Error {
  readonly device: string | undefined
  constructor(message: string, device: string | undefined) {
    super(message)
    this.device = device
  }
}

const formOf = (
  options: OpenOptions,
  isSliced: boolean,
  { isMerging = false, part = "all" }: Partial<Pick<Form, "isMerging" | "part">> = {}
): Form => ({
  options,
  isSliced,
  isMerging,
  part,
  parts: undefined,
  merging: undefined,
  session: undefined,
  weights: 0,
  held: 0,
  bound: 0,
  graph: undefined,
  estimates: new Map(),
  measured: undefined
})

const partsOf = (form: Form): Parts =>
  form.parts ??= {
    deep: formOf(form.options, form.isSliced, { isMerging: form.isMerging, part: "deep" }),
    shallow: formOf(form.options, form.isSliced, { isMerging: form.isMerging, part: "shallow" })
  }

const mergingOf = (form: Form): Form => form.merging ??= formOf(form.options, form.isSliced, { isMerging: true })

const formsOf = ({ sliced, whole }: Network): ReadonlyArray<Form> =>
  [whole, sliced]
    .flatMap((form) => form.merging === undefined ? [form] : [form, form.merging])
    .flatMap((form) => [form].concat(Object.values(form.parts ?? {})))

/** Sessions of files that a command is going to open, see `networkWorker.startAhead`. */
const ahead = new Map<string, InferenceSession>()

const usual: Pick<OpenOptions, "provider" | "threads"> = { provider: "cpu", threads: 0 }

// Threads begin to spin when their session is created, 2^20 times or 50 ms, while it and the next ones are opened.
// Small networks are as fast with 2 ms. A step of Stable Diffusion 1.5 would take 8 % longer.
const shortSpin = { "intra_op.spin_duration_us": "2000" }

const openAhead = async () => {
  const files: ReadonlyArray<string> = workerData ?? []
  for (const file of files) {
    try {
      ahead.set(file, await InferenceSession.create(file, sessionOptions(usual, shortSpin)))
    } catch {
      // Opened again when it is asked for, to say what is wrong.
    }
  }
}

// The session of a file that is open already. Where another model's network is opened, none of them will be used.
const takeAhead = async ({ file, alone, provider, threads }: OpenOptions): Promise<InferenceSession | undefined> => {
  const session = ahead.get(file)
  if (session !== undefined && !alone && provider === usual.provider && threads === usual.threads) {
    ahead.delete(file)
    return session
  }
  const modelOf = (network: string) => dirname(dirname(network))
  for (const [other, unused] of ahead) {
    if (other !== file && modelOf(other) === modelOf(file)) continue
    ahead.delete(other)
    await unused.release()
  }
  return undefined
}

type Opening = Pick<Form, "isMerging" | "isSliced" | "options" | "part">

const sessionOptions = ({ provider, threads }: typeof usual, more: Readonly<Record<string, string>> = {}) => ({
  executionProviders: provider === "cpu" ? ["cpu"] : [provider, "cpu"],
  ...(threads > 0 && { intraOpNumThreads: threads }),
  interOpNumThreads: 1,
  // A pattern is a second copy of the largest call's working memory, that is never freed. It makes no call faster.
  enableMemPattern: false,
  // Errors come back as exceptions; printing them as well would only disturb the terminal.
  logSeverityLevel: 4 as const,
  // Else a session's threads go on spinning after a call, on the cores that everything between two calls needs: other
  // sessions as well. Parts of a UNet that took turns ran in 12 ms instead of 27 without it.
  extra: { session: { force_spinning_stop: "1", ...more } }
})

const create = async ({ options: opening, ...form }: Opening): Promise<InferenceSession> => {
  const { cache, file, graph, int8: isInt8, provider } = opening
  const isPlain = !form.isMerging && form.part === "all"
  const options = sessionOptions(opening)
  if (isInt8) return await createInt8({ options: opening, ...form })
  if (graph !== undefined) {
    checkUnchanged(opening)
    const saved = cache === undefined || !isPlain ? undefined : findOptimised(cache, file, graph)
    if (saved !== undefined) {
      try {
        return await InferenceSession.create(saved, { ...options, graphOptimizationLevel: "disabled" })
      } catch {
        // One that does not load stands for nothing: the graph itself is opened.
      }
    }
    return await InferenceSession.create(isPlain ? graph.bytes : formed(graph.bytes, graph.bytes, form), {
      ...sessionOptions(opening, { model_external_initializers_file_folder_path: parse(resolve(file)).root }),
      // Any optimisation copies the weights, see `Graph`. Graphics cards compile the graph, and hold a copy anyway.
      graphOptimizationLevel: provider === "cpu" ? "disabled" : "all"
    })
  }
  if (!opening.seamless && !form.isSliced && isPlain) {
    return await takeAhead(opening) ?? await InferenceSession.create(file, options)
  }
  const bytes = await fileOf(opening)
  return await InferenceSession.create(formed(bytes, bytes, form), {
    // The folder of weights in external files.
    ...sessionOptions(opening, { model_external_initializers_file_folder_path: dirname(resolve(file)) })
  })
}

const fileOf = async ({ file, seamless: isSeamless }: OpenOptions): Promise<Uint8Array> => {
  const bytes = await readFile(file)
  return isSeamless ? seamless(bytes) : bytes
}

const createInt8 = async ({ options: opening, ...form }: Opening): Promise<InferenceSession> => {
  const { file, graph, int8Cache, provider, threads } = opening
  if (provider !== "cpu") {
    throw new Unloaded(`int8 is for the processor, not for ${provider}; set unet_precision to Automatic`, undefined)
  }
  checkUnchanged(opening)
  const plain = graph?.bytes ?? await fileOf(opening)
  const bytes = await int8Graph({
    file,
    bytes: plain,
    isBuilt: graph !== undefined,
    cache: int8Cache,
    threads
  })
  return await InferenceSession.create(formed(bytes, plain, form), {
    ...sessionOptions(opening, { model_external_initializers_file_folder_path: parse(resolve(file)).root }),
    graphOptimizationLevel: graph === undefined ? "all" : "disabled"
  })
}

// The bytes of a network's form. Attention whose tokens are merged is found in the network as it was at first.
const formed = (
  bytes: Uint8Array,
  plain: Uint8Array,
  { isMerging, isSliced, part }: Omit<Opening, "options">
): Uint8Array => {
  const whole = isMerging
    ? Onnx.write(tokenMerging.merged(Onnx.read(bytes), mergedAttention(Onnx.read(plain)), bytes))
    : bytes
  const all = isSliced ? slicedAttention(whole) : whole
  return part === "all" ? all : Onnx.write(parted(all)[part])
}

const mergedAttention = (model: Onnx.Model): tokenMerging.MergedAttention => {
  const found = tokenMerging.find(model)
  if (found === undefined) {
    throw new Error("it has no attention among pixels whose tokens can be merged; set token_merging_ratio to 0")
  }
  return found
}

// Where tokens lie in a call that merges some; undefined where a call is too small to.
const placesFor = (network: Network, sizes: InputDims, ratio: number): Record<string, Tensor> | undefined => {
  const { file, graph, provider } = network.whole.options
  if (provider !== "cpu") {
    throw new Error(`tokens are merged on the processor, not on ${provider}; set token_merging_ratio to 0`)
  }
  network.attention ??= mergedAttention(Onnx.read(graph?.bytes ?? skeleton(file)))
  const [, , height = 1, width = 1] = sizes["sample"] ?? []
  const places = tokenMerging.placesOf(network.attention, { height, width }, ratio)
  return places && Object.fromEntries(
    Object.entries(places).map(([name, list]) => [name, new Tensor("int64", list, [list.length])])
  )
}

const parted = (bytes: Uint8Array): deepCache.DeepCache => {
  const parts = deepCache.split(Onnx.read(bytes))
  if (parts === undefined) {
    throw new Error("it has no skip connection around its deep layers; set deepcache_interval to 1")
  }
  return parts
}

// Writes what onnxruntime makes of a graph for this processor. It could write weights as its kernels pack them as well,
// for 2 to 5 % of a step, but version 1.30 crashes where it reads some of these again.
const optimise = async (opening: OpenOptions, to: string) => {
  const { file, graph } = opening
  if (graph === undefined) throw new Error("only graphs that are built here are optimised")
  checkUnchanged(opening)
  const session = await InferenceSession.create(graph.bytes, {
    ...sessionOptions(opening, {
      model_external_initializers_file_folder_path: parse(resolve(file)).root,
      optimized_model_external_initializers_file_name: fileNames.weights,
      optimized_model_external_initializers_min_size_in_bytes: "1024"
    }),
    graphOptimizationLevel: "all",
    optimizedModelFilePath: to
  })
  await session.release()
  // On the disk before its folder gets its name: a machine that loses power keeps no name of what is not there.
  for (const name of Object.values(fileNames)) {
    const written = await open(join(dirname(to), name), "a")
    await written.sync().finally(() => written.close())
  }
}

// A file that is shorter than it was when it was mapped would end the process at the next access (SIGBUS).
const checkUnchanged = ({ graph }: OpenOptions) => {
  for (const { modified, path, size } of graph?.files ?? []) {
    // As Effect's `FileSystem` asks: as a double, the end of a millisecond is rounded to the next one.
    const found = statSync(path, { bigint: true, throwIfNoEntry: false })
    const isSame = found?.size === BigInt(size) && Number(found.mtimeMs) === modified
    if (!isSame) {
      throw new Unloaded(
        `${path} was ${found ? "changed" : "removed"} after it was read; load the model again`,
        undefined
      )
    }
  }
}

const counted = (change: number) => {
  sessions += change
  parentPort?.postMessage({ sessions } satisfies Sessions)
}

/**
 * Bytes that a network may go on holding for its next call, or as much as its weights where these are more: opening it
 * again takes long then. onnxruntime keeps what the largest call took; from Node only closing the session frees it.
 */
const mostHeld = 256 * 2 ** 20

/** Growth of the process that is put down to other threads. */
const noise = 64 * 2 ** 20

// What running or opening a network made the process grow by.
const growth = async <A>(work: () => Promise<A>): Promise<readonly [result: A, bytes: number]> => {
  const before = held()
  const result = await work()
  const grown = held() - before
  return [result, grown < noise ? 0 : grown]
}

/** Bytes above which a call is large: its attention is sliced. */
const largestWhole = 256 * 2 ** 20

// With weights converted during a call, blocks of many sizes come and go: onnxruntime's allocator holds twice what is
// in use (Stable Diffusion 1.5 at 512 x 512).
const arenaOf = ({ options: { graph } }: Form): number => graph === undefined ? 1 : 2

/** Values of images or latents below which no call is large. */
const smallCall = 2 ** 13

// What a call takes; undefined where the graph does not say.
const needed = (form: Form, inputs: InputDims): number | undefined => {
  const key = JSON.stringify(inputs)
  if (!form.estimates.has(key)) {
    form.graph ??= graphOf(form)
    const working = form.graph === null ? undefined : workingMemory(form.graph, inputs)
    form.estimates.set(key, working === undefined ? undefined : withOverhead(working * arenaOf(form)))
  }
  return form.estimates.get(key)
}

/** Values of the images or latents of a call. */
const valuesOf = (inputs: InputDims): number =>
  Object.values(inputs).reduce((sum, dims) => dims.length === 4 ? sum + count(dims) : sum, 0)

// What a call takes at least, where the graph does not say and a smaller one was measured: more values take more
// memory in proportion, and attention more than that.
const neededAtLeast = ({ measured }: Form, inputs: InputDims): number | undefined => {
  const values = valuesOf(inputs)
  return measured === undefined || values <= measured.values
    ? undefined
    : Math.ceil(measured.bytes * values / measured.values)
}

// The form that runs a call. It depends on nothing but the sizes, so that the same call is always computed alike.
const formFor = ({ sliced, whole }: Network, inputs: InputDims): Form => {
  if (
    valuesOf(inputs) < smallCall || whole.options.provider !== "cpu" || (needed(whole, inputs) ?? 0) <= largestWhole
  ) return whole
  return needed(sliced, inputs) === undefined ? whole : sliced
}

const estimate = async (network: Network, inputs: InputDims): Promise<MemoryEstimate | undefined> => {
  const form = formFor(network, inputs)
  const stated = needed(form, inputs)
  const bytes = stated ?? neededAtLeast(form, inputs)
  if (bytes === undefined) return undefined
  const found = (): MemoryEstimate => {
    const { bytes: free, limit } = available(form.options.maxMemory)
    return {
      needed: bytes,
      available: Math.max(0, free + ownMemory(network, form)),
      limit,
      ...(stated === undefined && { isLeast: true })
    }
  }
  // Others give back what they hold for a next call before this one is said not to fit.
  for (const other of [...networks.values()].flatMap(formsOf)) {
    if (other === form || other.bound > 0 || other.held === 0) continue
    if (bytes <= found().available) break
    await release(other)
  }
  return found()
}

// What a form has of the memory already, or will take before its call: what it holds is there for that call.
const ownMemory = (network: Network, form: Form): number => {
  if (form.session !== undefined) return form.held
  const forms = formsOf(network)
  const freed = forms.filter(({ bound, session }) => session !== undefined && bound === 0)
  return freed.reduce((bytes, { held, weights }) => bytes + weights + held, 0) -
    Math.max(...forms.map(({ weights }) => weights))
}

const graphOf = ({ isSliced, options }: Opening): Onnx.Model | null => {
  const { file, graph, int8: isInt8, seamless: isSeamless } = options
  const read = isInt8 ? int8Outline : Onnx.read
  try {
    // What was built here attends by one operator, and is not sliced.
    if (graph !== undefined) return isSliced ? null : read(graph.bytes)
    const bytes = skeleton(file)
    const model = read(isSeamless ? seamless(bytes) : bytes)
    const sliced = sketched(model)
    return isSliced ? sliced === model ? null : sliced : model
  } catch {
    return null
  }
}

const giveBack = async (form: Form) => {
  if (form.bound === 0 && form.held > Math.max(mostHeld, form.weights)) await release(form)
}

const release = async (form: Form | undefined) => {
  const session = form?.session
  if (form === undefined || session === undefined) return
  form.session = undefined
  form.held = 0
  await session.release()
  counted(-1)
}

// The form's session. One that shares the memory takes the place of other networks', and any that of the network's
// other forms where nothing is bound to them, unless these are parts or wholes that take little memory: runs with and
// without DeepCache or merged tokens take turns.
const sessionOf = async (network: Network, form: Form): Promise<InferenceSession> => {
  if (form.session !== undefined) return form.session
  const isAlone = form.options.alone
  for (const other of formsOf(network)) {
    const isAlike = form.isSliced === other.isSliced && form.isMerging === other.isMerging
    const isPart = form.part !== "all" && other.part !== "all" && isAlike
    const isVariant = form.part !== other.part || form.isMerging !== other.isMerging
    const isSmall = isVariant && other.weights === 0 && !isAlone
    if (other !== form && (other.bound === 0 && !isSmall || isAlone && !isPart)) await release(other)
  }
  if (isAlone) {
    for (const other of networks.values()) {
      if (other !== network) { for (const each of formsOf(other)) await release(each) }
    }
  }
  try {
    const [session, weights] = await growth(() => create(form))
    form.session = session
    form.weights = Math.max(form.weights, weights)
  } catch (error) {
    if (error instanceof Unloaded) throw error
    const problem = form.options.graph === undefined ? loadProblem(form.options.file) : undefined
    if (problem !== undefined) throw new Unloaded(problem, undefined)
    const device = await loadsOnProcessor(form) ? form.options.provider : undefined
    throw new Unloaded(messageOf(error), device)
  }
  counted(1)
  return form.session
}

// Whether the file loads on the processor: then the device fails, and the file is not damaged.
const loadsOnProcessor = async ({ options, ...opening }: Opening): Promise<boolean> => {
  if (options.provider === "cpu") return false
  try {
    await (await create({ ...opening, options: { ...options, provider: "cpu" } })).release()
    return true
  } catch {
    return false
  }
}

const computesInFloat16 = new Map<string, Promise<boolean>>()

// Whether a provider computes in float16, found out by doing it: WebGPU loads such graphs where it cannot run them.
const float16On = (provider: string): Promise<boolean> => {
  const found = computesInFloat16.get(provider) ?? tryFloat16(provider)
  computesInFloat16.set(provider, found)
  return found
}

const tryFloat16 = async (provider: string): Promise<boolean> => {
  const graph = new Graph({ arithmetic: "float16" })
  const x = real(graph.input("x", "float32", [1]))
  graph.output("y", single(add(x, x)))
  try {
    const session = await InferenceSession.create(graph.file().bytes, {
      executionProviders: [provider],
      logSeverityLevel: 4
    })
    try {
      const { y } = await session.run({ x: new Tensor("float32", Float32Array.of(1.5), [1]) })
      return y?.data[0] === 3
    } finally {
      await session.release()
    }
  } catch {
    return false
  }
}

const known = <A>(table: Map<number, A>, key: number): A => {
  const value = table.get(key)
  if (value === undefined) throw new Error(`nothing is open under number ${key}`)
  return value
}

// Runs a call in the session of its form. The deep part gives one output more; the shallow one reads it, and not all of
// the inputs.
const compute = async (call: Call, session: InferenceSession): Promise<void> => {
  const { feeds, fetches, form, shallow } = call
  if (shallow === undefined) {
    await session.run(feeds, fetches)
  } else if (session === form.session) {
    const kept = session.outputNames.find((name) => fetches[name] === undefined) ?? ""
    const { [kept]: value } = await session.run(feeds, { ...fetches, [kept]: null })
    call.kept = value === undefined ? {} : { [kept]: value }
  } else {
    const read = Object.entries({ ...feeds, ...call.kept }).filter(([name]) => session.inputNames.includes(name))
    await session.run(Object.fromEntries(read), fetches)
  }
}

const sizesOf = ({ inputs }: Bound): InputDims =>
  Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims]))

const bind = (bound: Bound): Call => {
  const { inputs, keepsDeep, network: number, outputs, tokenMerging: ratio = 0 } = bound
  const network = known(networks, number)
  const sizes = sizesOf(bound)
  const places = ratio > 0 ? placesFor(network, sizes, ratio) : undefined
  const found = formFor(network, sizes)
  const all = places === undefined ? found : mergingOf(found)
  const parts = keepsDeep === true ? partsOf(all) : undefined
  const call: Call = {
    bound,
    network,
    form: parts?.deep ?? all,
    values: valuesOf(sizes),
    feeds: { ...tensors(inputs), ...places },
    fetches: tensors(outputs),
    shallow: parts?.shallow,
    kept: {},
    ran: new WeakSet()
  }
  call.form.bound++
  if (call.shallow !== undefined) call.shallow.bound++
  return call
}

const unbind = async ({ form, shallow }: Call): Promise<void> => {
  for (const each of [form, shallow]) {
    if (each === undefined) continue
    each.bound--
    await giveBack(each)
  }
}

const run = async (call: Call, reusesDeep?: boolean): Promise<void> => {
  const form = reusesDeep === true && call.shallow !== undefined ? call.shallow : call.form
  const session = await sessionOf(call.network, form)
  checkUnchanged(form.options)
  // Reading what the process holds takes longer than a message.
  if (call.ran.has(session)) return await compute(call, session)
  const [, grown] = await growth(() => compute(call, session))
  call.ran.add(session)
  form.held += grown
  if (grown > 0 && call.values > (form.measured?.values ?? 0)) {
    form.measured = { values: call.values, bytes: form.held }
  }
}

const rowsOf = ({ bound: { inputs, joinings } }: Call): number => {
  const leader = Object.keys(inputs).find((name) => joinings?.[name] === "rows")
  return leader === undefined ? 1 : inputs[leader]?.dims[0] ?? 1
}

// What calls have in common that one joint call can stand for.
const jointForm = (bound: Bound): string => `${bound.network} ${jointFormOf(bound)}`

// A joint call for calls like `first`. Undefined where there is no memory for it.
const jointOf = async (first: Call, rows: number): Promise<Call | undefined> => {
  const { inputs, joinings = {}, network, outputs } = first.bound
  const joined = (tensors: Bound["inputs"], joiningOf: (name: string) => Joining) =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [
        name,
        jointTensor(tensor, { own: rowsOf(first), rows }, joiningOf(name))
      ])
    )
  const bound: Bound = {
    ...first.bound,
    inputs: joined(inputs, (name) => joinings[name] ?? "same"),
    outputs: joined(outputs, () => "rows")
  }
  const estimated = await estimate(known(networks, network), sizesOf(bound))
  return estimated !== undefined && estimated.needed > estimated.available ? undefined : bind(bound)
}

const runJoint = async (numbers: ReadonlyArray<number>): Promise<boolean> => {
  const members = numbers.map((number) => known(calls, number)).toSorted((a, b) => rowsOf(a) - rowsOf(b))
  const [first] = members
  if (first === undefined) throw new Error("there are no calls to make together")
  const rows = members.map(rowsOf)
  const form = jointForm(first.bound)
  const key = `${form} ${rows.join()}`
  const call = joints.get(key)?.call ?? await jointOf(first, rows.reduce((sum, count) => sum + count, 0))
  if (call === undefined) return false
  joints.delete(key)
  joints.set(key, { form, call })
  for (const [oldest, { call }] of joints) {
    if (joints.size <= mostJoints) break
    joints.delete(oldest)
    await unbind(call)
  }
  const partsOf = (kind: "inputs" | "outputs", name: string) =>
    members.flatMap(({ bound }, i) => {
      const tensor = bound[kind][name]
      return tensor === undefined ? [] : [{ bytes: bytesOf(tensor), rows: rows[i] ?? 1 }]
    })
  for (const [name, tensor] of Object.entries(call.bound.inputs)) {
    gather(bytesOf(tensor), partsOf("inputs", name), call.bound.joinings?.[name] ?? "same")
  }
  await run(call)
  for (const [name, tensor] of Object.entries(call.bound.outputs)) scatter(bytesOf(tensor), partsOf("outputs", name))
  return true
}

// Joint calls are kept as long as one that they can stand for.
const leaveJoints = async ({ bound }: Call): Promise<void> => {
  if (bound.joinings === undefined || joints.size === 0) return
  const form = jointForm(bound)
  for (const other of calls.values()) {
    if (other.bound.joinings !== undefined && jointForm(other.bound) === form) return
  }
  for (const [key, joint] of joints) {
    if (joint.form !== form) continue
    joints.delete(key)
    await unbind(joint.call)
  }
}

const tensors = (shared: Readonly<Record<string, SharedTensor>>): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(shared).map(([name, { data, dims, type }]) => [name, new Tensor(type, data, dims)])
  )

const info = (session: InferenceSession): NetworkInfo => {
  const list = (metadata: ReadonlyArray<InferenceSession.ValueMetadata>) =>
    metadata.flatMap((value) => value.isTensor ? [{ name: value.name, type: value.type, dims: value.shape }] : [])
  return { inputs: list(session.inputMetadata), outputs: list(session.outputMetadata) }
}

const perform = async (
  command: Command
): Promise<{ value: number; info?: NetworkInfo; estimate?: MemoryEstimate | undefined }> => {
  switch (command.op) {
    case "open": {
      const network: Network = {
        whole: formOf(command.options, false),
        sliced: formOf(command.options, true),
        attention: undefined
      }
      const session = await sessionOf(network, network.whole)
      networks.set(++opened, network)
      return { value: opened, info: info(session) }
    }
    case "optimise": {
      await optimise(command.options, command.to)
      return { value: 0 }
    }
    case "close": {
      const network = known(networks, command.network)
      networks.delete(command.network)
      for (const form of formsOf(network)) await release(form)
      return { value: 0 }
    }
    case "bind": {
      calls.set(++opened, bind(command))
      return { value: opened }
    }
    case "unbind": {
      const call = known(calls, command.call)
      calls.delete(command.call)
      await leaveJoints(call)
      await unbind(call)
      return { value: 0 }
    }
    case "run": {
      await run(known(calls, command.call), command.reusesDeep)
      return { value: 0 }
    }
    case "runJoint": {
      return { value: await runJoint(command.calls) ? 1 : 0 }
    }
    case "runOnce": {
      const call = bind(command)
      try {
        await run(call)
      } finally {
        await unbind(call)
      }
      return { value: 0 }
    }
    case "float16": {
      return { value: await float16On(command.provider) ? 1 : 0 }
    }
    case "estimate": {
      return { value: 0, estimate: await estimate(known(networks, command.network), command.inputs) }
    }
  }
}

// The errors of onnxruntime-node have no code: what the allocators of its devices say is in the message.
const outOfMemory = /\bmemory\b|bad_alloc|bad allocation/i

// Some of onnxruntime's messages end with a line end.
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error)).trim()

const answer = async ({ command, id }: Request): Promise<Reply> => {
  try {
    return { id, ok: true, ...(await perform(command)) }
  } catch (error) {
    if (error instanceof Unloaded) {
      return {
        id,
        ok: false,
        reason: error.message,
        failed: "load",
        ...(error.device !== undefined && { device: error.device })
      }
    }
    const reason = messageOf(error)
    return { id, ok: false, reason, failed: outOfMemory.test(reason) ? "memory" : "call" }
  }
}

let last = openAhead()
parentPort?.on("message", (request: Request) => {
  last = last.then(async () => parentPort?.postMessage(await answer(request)))
})
