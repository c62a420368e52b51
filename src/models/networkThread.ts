/**
 * The thread that runs the networks. onnxruntime's `run` blocks the thread that calls it, so this thread does nothing
 * else.
 *
 * It holds networks and calls (a network with its input and output buffers bound), both by number, and answers requests
 * one after the other. A network that shares the memory has a session only while it is the latest one used. One that
 * large calls made hold more memory than `mostHeld` loses it, and its session with it, when nothing is bound to it any
 * more. The thread is started by `Networks` only.
 */
import { readFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { parentPort } from "node:worker_threads"
import { InferenceSession, Tensor } from "onnxruntime-node"
import type { MemoryEstimate } from "../model/LoadedModel.ts"
import { available } from "./availableMemory.ts"
import { loadProblem } from "./loadProblem.ts"
import type { Command, NetworkInfo, OpenOptions, Reply, Request, Sessions, SharedTensor } from "./networkProtocol.ts"
import * as Onnx from "./onnx/Onnx.ts"
import { skeleton } from "./onnx/skeleton.ts"
import { type InputDims, withOverhead, workingMemory } from "./onnx/workingMemory.ts"
import { seamless } from "./seamless.ts"

// onnxruntime takes bytes of half precision as a Float16Array where the language has one, and its native part then
// finds no numbers in them (onnxruntime 1.30 on Node 24). Without the class it takes them as the Uint16Array that they
// are.
Reflect.deleteProperty(globalThis, "Float16Array")

interface Network {
  readonly options: OpenOptions
  session: InferenceSession | undefined
  /** Bytes by which opening the session made the process grow, and by which its calls did: that stays allocated. */
  weights: number
  held: number
  /** Calls that are bound to it. */
  bound: number
  /** The file without its weights; undefined until it is asked for, null where it cannot be read. */
  graph: Onnx.Model | null | undefined
  readonly estimates: Map<string, number | undefined>
}

interface Call {
  readonly network: Network
  readonly feeds: Record<string, Tensor>
  readonly fetches: Record<string, Tensor>
}

const networks = new Map<number, Network>()
const calls = new Map<number, Call>()
let count = 0
let sessions = 0

// The network that has the session among those that share the memory.
let latest: Network | undefined

class Unloaded extends Error {
  readonly device: string | undefined
  constructor(message: string, device: string | undefined) {
    super(message)
    this.device = device
  }
}

const create = async ({ file, provider, seamless: isSeamless, threads }: OpenOptions): Promise<InferenceSession> => {
  const options = {
    executionProviders: provider === "cpu" ? ["cpu"] : [provider, "cpu"],
    ...(threads > 0 && { intraOpNumThreads: threads }),
    interOpNumThreads: 1,
    // A pattern is a second copy of the largest call's working memory, that is never freed. It makes no call faster.
    enableMemPattern: false,
    // Errors come back as exceptions; printing them as well would only disturb the terminal.
    logSeverityLevel: 4
  } as const
  if (!isSeamless) return await InferenceSession.create(file, options)
  return await InferenceSession.create(seamless(await readFile(file)), {
    ...options,
    // The folder of weights in external files.
    extra: { session: { model_external_initializers_file_folder_path: dirname(resolve(file)) } }
  })
}

const counted = (change: number) => {
  sessions += change
  parentPort?.postMessage({ sessions } satisfies Sessions)
}

/**
 * Bytes that a network may go on holding for its next call, or as much as its weights where these are more: opening it
 * again takes long then. onnxruntime keeps what the largest call took; from Node only closing the session frees it.
 */
const mostHeld = 512 * 2 ** 20

/** Growth of the process that is put down to other threads. */
const noise = 64 * 2 ** 20

// What running or opening a network made the process grow by.
const growth = async <A>(work: () => Promise<A>): Promise<readonly [result: A, bytes: number]> => {
  const before = process.memoryUsage.rss()
  const result = await work()
  const grown = process.memoryUsage.rss() - before
  return [result, grown < noise ? 0 : grown]
}

const estimate = async (network: Network, inputs: InputDims): Promise<MemoryEstimate | undefined> => {
  const key = JSON.stringify(inputs)
  if (!network.estimates.has(key)) {
    network.graph ??= graphOf(network.options)
    network.estimates.set(key, network.graph === null ? undefined : workingMemory(network.graph, inputs))
  }
  const working = network.estimates.get(key)
  if (working === undefined) return undefined
  const needed = withOverhead(working)
  const found = () => {
    const { bytes, limit } = available(network.options.maxMemory)
    // What the network holds already is there for its next call.
    const own = network.session === undefined ? -network.weights : network.held
    return { needed, available: Math.max(0, bytes + own), limit }
  }
  // Others give back what they hold for a next call before this one is said not to fit.
  for (const other of networks.values()) {
    if (other === network || other.bound > 0 || other.held === 0) continue
    if (needed <= found().available) break
    await release(other)
  }
  return found()
}

const graphOf = ({ file, seamless: isSeamless }: OpenOptions): Onnx.Model | null => {
  try {
    const bytes = skeleton(file)
    return Onnx.read(isSeamless ? seamless(bytes) : bytes)
  } catch {
    return null
  }
}

const giveBack = async (network: Network) => {
  if (network.bound === 0 && network.held > Math.max(mostHeld, network.weights)) await release(network)
}

const release = async (network: Network | undefined) => {
  const session = network?.session
  if (network === undefined || session === undefined) return
  network.session = undefined
  network.held = 0
  if (latest === network) latest = undefined
  await session.release()
  counted(-1)
}

// The network's session. One that shares the memory takes the place of the one before it.
const sessionOf = async (network: Network): Promise<InferenceSession> => {
  if (network.session !== undefined) return network.session
  if (network.options.alone) {
    await release(latest)
    latest = network
  }
  try {
    const [session, weights] = await growth(() => create(network.options))
    network.session = session
    network.weights = Math.max(network.weights, weights)
  } catch (error) {
    const problem = loadProblem(network.options.file)
    if (problem !== undefined) throw new Unloaded(problem, undefined)
    const device = await loadsOnProcessor(network.options) ? network.options.provider : undefined
    throw new Unloaded(messageOf(error), device)
  }
  counted(1)
  return network.session
}

// Tells a device that fails from a file that is damaged.
const loadsOnProcessor = async (options: OpenOptions): Promise<boolean> => {
  if (options.provider === "cpu") return false
  try {
    await (await create({ ...options, provider: "cpu" })).release()
    return true
  } catch {
    return false
  }
}

const known = <A>(table: Map<number, A>, key: number): A => {
  const value = table.get(key)
  if (value === undefined) throw new Error(`nothing is open under number ${key}`)
  return value
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
        options: command.options,
        session: undefined,
        weights: 0,
        held: 0,
        bound: 0,
        graph: undefined,
        estimates: new Map()
      }
      const session = await sessionOf(network)
      networks.set(++count, network)
      return { value: count, info: info(session) }
    }
    case "close": {
      const network = known(networks, command.network)
      networks.delete(command.network)
      await release(network)
      return { value: 0 }
    }
    case "bind": {
      const network = known(networks, command.network)
      calls.set(++count, { network, feeds: tensors(command.inputs), fetches: tensors(command.outputs) })
      network.bound++
      return { value: count }
    }
    case "unbind": {
      const { network } = known(calls, command.call)
      calls.delete(command.call)
      network.bound--
      await giveBack(network)
      return { value: 0 }
    }
    case "run": {
      const { feeds, fetches, network } = known(calls, command.call)
      const session = await sessionOf(network)
      const [, grown] = await growth(() => session.run(feeds, fetches))
      network.held += grown
      return { value: 0 }
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

let last = Promise.resolve()
parentPort?.on("message", (request: Request) => {
  last = last.then(async () => parentPort?.postMessage(await answer(request)))
})
