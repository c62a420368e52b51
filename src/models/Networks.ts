/**
 * Neural networks in ONNX files, run in a thread of their own.
 *
 * `open` loads a file, `bind` ties buffers to it, `run` runs it, and `runOnce` does both. The buffers lie in shared
 * memory: the caller writes the inputs and reads the outputs in place, and a run takes no memory and copies nothing on
 * this side. The thread starts with the first network. If it dies, every call on it fails with `NetworkThreadDied`, and
 * the next `open` starts another.
 *
 * Calls wait for each other in fair order. A call that has begun cannot be stopped half-way: interruption waits for it,
 * so that no buffer is given back while the network still writes into it.
 *
 * With the command option `lowvram` only the network that was used last is in memory. Another one that is opened or run
 * takes its place, and it is opened again when it is run again; users notice only the time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { createHash } from "node:crypto"
import type { Worker } from "node:worker_threads"
import * as WorkerCalls from "../core/WorkerCalls.ts"
import type { MemoryEstimate } from "../model/LoadedModel.ts"
import { InferenceError, NetworkLoadError, NetworkThreadDied } from "../model/ModelError.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import type { GraphFile, GraphOptions } from "./graph/Graph.ts"
import { int8In } from "./int8Files.ts"
import { joiningsOf, jointFormOf } from "./joinings.ts"
import * as jointCalls from "./jointCalls.ts"
import * as metrics from "./metrics.ts"
import type { Command, NetworkInfo, Reply, Request, Sessions, SharedTensor } from "./networkProtocol.ts"
import { spawn as spawnWorker } from "./networkWorker.ts"
import { cacheIn } from "./optimisedFiles.ts"
import * as shared from "./shared.ts"

export type { NetworkInfo, SharedTensor, TensorType } from "./networkProtocol.ts"

/** An open network. */
export interface Network extends NetworkInfo {
  readonly file: string
  /** False once its thread has died: open the file again. */
  readonly isOpen: () => boolean
  /** Ties buffers to the network's inputs and outputs, by name, until the scope closes. */
  readonly bind: (
    tensors: Tensors & {
      /** Whether runs may reuse deep layers, see `onnx/deepCache`: it must have a skip connection around them. */
      readonly keepsDeep?: boolean | undefined
      /**
       * Fraction of the tokens that are merged, see `onnx/tokenMerging`; 0, or left out, for none. The network must
       * have attention among pixels.
       */
      readonly tokenMerging?: number | undefined
      /** Which calls it may be made together with; none when left out. */
      readonly joint?: JointOptions | undefined
    }
  ) => Effect.Effect<NetworkCall, InferenceError | NetworkThreadDied, Scope.Scope>
  /** Runs the network once on buffers: `bind` and its `run`, with one message to the thread. */
  readonly runOnce: (tensors: Tensors) => NetworkCall["run"]
  /**
   * What a call with inputs of these sizes, by name, takes in addition to the weights, and what there is for it.
   * Undefined where the graph does not say, and on devices with memory of their own.
   */
  readonly estimate: (
    inputs: Readonly<Record<string, ReadonlyArray<number>>>
  ) => Effect.Effect<MemoryEstimate | undefined, InferenceError | NetworkThreadDied>
}

/** How a call may be made together with others, see `jointCalls`. One that keeps deep layers is made alone. */
export interface JointOptions {
  /** Most calls, with this one, that are made as one. */
  readonly most: number
  /** The input that has a row for each of the call's rows. */
  readonly leader: string
}

/** Buffers by the names of a network's inputs and outputs. */
interface Tensors {
  readonly inputs: Readonly<Record<string, SharedTensor>>
  readonly outputs: Readonly<Record<string, SharedTensor>>
}

export interface NetworkCall {
  /** Reads the inputs, runs the network, fills the outputs. It loads the file again where memory is short. */
  readonly run: Effect.Effect<void, InferenceError | NetworkLoadError | NetworkThreadDied>
  /** The same, with deep layers as the latest `run` left them. Only for a call that keeps them. */
  readonly runShallow: Effect.Effect<void, InferenceError | NetworkLoadError | NetworkThreadDied>
}

export interface OpenOptions {
  /**
   * In the background a network has a thread apart from all others', and one core of the machine: what runs there does
   * not make the rest wait for its turn. With `lowvram` there is no background.
   */
  readonly background?: boolean | undefined
  /**
   * Opens the network with convolutions that read across the edges, so that its images tile: what
   * stable-diffusion-webui's `tiling` does. It is opened separately from the plain network of the same file.
   */
  readonly seamless?: boolean | undefined
  /**
   * Opens the network with its wide layers computed in int8, where there is a processor to compute them. It is opened
   * separately from the plain network of the same file.
   */
  readonly int8?: boolean | undefined
}

/** A network whose graph was built here. Its weights stay in their files, which are mapped in place. */
export interface BuiltNetwork {
  /** The file of the weights, for messages. */
  readonly file: string
  /** What it is in a model, such as `unet`. */
  readonly name?: string | undefined
  readonly graph: GraphFile
}

export class Networks extends Context.Service<Networks, {
  /**
   * Loads an ONNX file, or a graph that was built here. It is closed with the scope, and its memory is freed.
   *
   * The files of a graph's weights must stay as they are: one that has changed fails the next call, with
   * `NetworkLoadError`. One that is made shorter during a call ends the process.
   */
  readonly open: (
    network: string | BuiltNetwork,
    options?: OpenOptions
  ) => Effect.Effect<Network, NetworkLoadError | NetworkThreadDied, Scope.Scope>
  /**
   * How graphs are built for the device. The processor computes in float32 from weights that stay in their files; other
   * devices compute in float16, where they can, from an optimised copy of the graph.
   */
  readonly graphs: Effect.Effect<Pick<GraphOptions, "arithmetic" | "optimised">, NetworkThreadDied>
  /**
   * Writes what onnxruntime makes of a graph for this processor: the ONNX file `to`, and its weights next to it. Where
   * it lies in the folder of optimised networks, `open` then opens it in place of the graph.
   */
  readonly optimise: (
    network: BuiltNetwork,
    to: string
  ) => Effect.Effect<void, NetworkLoadError | NetworkThreadDied>
}>()("serena/models/Networks") {
  /** Networks in a worker thread of this process, on the device that the command options name. */
  static readonly layer: Layer.Layer<Networks, never, CommandOptions> = Layer.effect(
    Networks,
    Effect.suspend(() => make(spawnWorker))
  )
}

type Ok = Extract<Reply, { readonly ok: true }>

// A refusal, before it is mapped to the error of the call.
interface Refused extends Pick<Extract<Reply, { readonly ok: false }>, "reason" | "failed" | "device"> {
  readonly _tag: "Refused"
}

/** The service over any thread that speaks the protocol. */
export const make = Effect.fnUntraced(function*(spawn: () => Worker): Effect.fn.Return<
  Networks["Service"],
  never,
  CommandOptions | Scope.Scope
> {
  const { dataDir, device, lowvram, maxMemory, threads } = yield* CommandOptions
  const cache = dataDir === undefined || device !== "cpu" ? undefined : cacheIn(dataDir)
  const int8Cache = dataDir === undefined ? undefined : int8In(dataDir)
  const scope = yield* Effect.scope
  const countSessions = yield* metrics.sessions
  const foreground: Lane = { turn: yield* Semaphore.make(1), threads, thread: undefined }
  const background: Lane = { turn: yield* Semaphore.make(1), threads: 1, thread: undefined }

  yield* Effect.addFinalizer(() =>
    Effect.forEach([foreground, background], ({ thread }) => thread?.end ?? Effect.void, { discard: true })
  )

  // Every call on the thread is awaited. Only runs queue here: the rest is answered after the run in flight.
  const ask = <E>(on: Thread, command: Command, refused: (refusal: Refused) => E) =>
    Effect.mapError(
      Effect.uninterruptible(on.ask(command)),
      (error) => error._tag === "Refused" ? refused(error) : error
    )

  const threadOf = (lane: Lane): Thread => {
    if (lane.thread === undefined || !lane.thread.isAlive()) lane.thread = startThread(spawn, countSessions)
    return lane.thread
  }

  const graphs: Networks["Service"]["graphs"] = device === "cpu" ?
    Effect.succeed({}) :
    Effect.suspend(() =>
      ask(threadOf(foreground), { op: "float16", provider: device }, ({ reason }) => new NetworkThreadDied({ reason }))
    ).pipe(
      Effect.map(({ value }) => ({
        arithmetic: value === 1 ? "float16" as const : "float32" as const,
        optimised: true
      }))
    )

  const optionsOf = (lane: Lane) => ({
    cache,
    int8Cache,
    provider: device,
    threads: lane.threads,
    alone: lowvram,
    maxMemory: maxMemory === 0 ? undefined : maxMemory * 2 ** 20
  })

  const optimise: Networks["Service"]["optimise"] = ({ file, graph }, to) =>
    Effect.asVoid(ask(
      threadOf(foreground),
      { op: "optimise", to, options: { ...optionsOf(foreground), file, graph, seamless: false, int8: false } },
      ({ reason }) => new NetworkLoadError({ file, reason })
    ))

  const laneOf = ({ background: isApart = false }: OpenOptions) => isApart && !lowvram ? background : foreground

  // The same graph of the same files is opened once, for models that differ in other networks, such as their VAE.
  const graphsOpen = yield* shared.make<Network, NetworkLoadError | NetworkThreadDied>(0)

  const open: Networks["Service"]["open"] = Effect.fnUntraced(function*(opened, options = {}) {
    if (typeof opened === "string") return yield* openAlone(opened, options)
    const lane = laneOf(options)
    const key = [
      lane === background,
      options.seamless === true,
      options.int8 === true,
      threadOf(lane).id,
      createHash("sha1").update(opened.graph.bytes).digest("hex"),
      ...opened.graph.files.map(({ modified, path, size }) => `${path} ${size} ${modified}`)
    ]
    return yield* graphsOpen.get(key.join("\n"), openAlone(opened, options))
  })

  const openAlone: Networks["Service"]["open"] = Effect.fnUntraced(function*(opened, options = {}) {
    const { file, graph } = typeof opened === "string" ? { file: opened, graph: undefined } : opened
    const lane = laneOf(options)
    const unloaded = ({ device, reason }: Refused) =>
      new NetworkLoadError({ file, reason, ...(device !== undefined && { device }) })
    const failed = ({ failed, reason }: Refused) =>
      new InferenceError({ file, reason, ...(failed === "memory" && { remedy: "size" }) })
    const { info, network, on } = yield* Effect.acquireRelease(
      Effect.gen(function*() {
        const on = threadOf(lane)
        const reply = yield* ask(on, {
          op: "open",
          options: {
            ...optionsOf(lane),
            file,
            graph,
            seamless: options.seamless === true,
            int8: options.int8 === true
          }
        }, unloaded)
        return { on, network: reply.value, info: reply.info ?? { inputs: [], outputs: [] } }
      }),
      ({ network, on }) => on.isAlive() ? Effect.ignore(ask(on, { op: "close", network }, unloaded)) : Effect.void
    )

    const refused = (refusal: Refused) => refusal.failed === "load" ? unloaded(refusal) : failed(refusal)
    const inTurn = (command: Command) => Effect.asVoid(metrics.inTurn(lane.turn, ask(on, command, refused)))

    // Where calls of the same form meet.
    const meetings = new Map<string, jointCalls.Meeting<CallError>>()
    const meetingOf = (key: string) => {
      const found = meetings.get(key)
      if (found !== undefined) return found
      if (meetings.size >= mostMeetings) {
        for (const [other, meeting] of meetings) if (meeting.size() === 0) meetings.delete(other)
      }
      const timed = (command: Command) => metrics.inTurn(lane.turn, jointCalls.timed(ask(on, command, refused)))
      const meeting = jointCalls.make<CallError>({
        scope,
        alone: (call) => Effect.map(timed({ op: "run", call }), ([, ms]) => ms),
        together: (calls) =>
          Effect.flatMap(
            timed({ op: "runJoint", calls }),
            ([{ value }, ms]) => value === 0 ? Effect.undefined : Effect.as(metrics.madeJointly(calls.length), ms)
          )
      })
      meetings.set(key, meeting)
      return meeting
    }

    const bind: Network["bind"] = Effect.fnUntraced(function*({ joint, ...tensors }) {
      const { inputs, keepsDeep = false } = tensors
      const joinings = joint === undefined || joint.most < 2 || keepsDeep
        ? undefined
        : joiningsOf(info.inputs, inputs, joint.leader)
      const { value: call } = yield* Effect.acquireRelease(
        ask(on, { op: "bind", network, ...tensors, joinings }, failed),
        ({ value }) => on.isAlive() ? Effect.ignore(ask(on, { op: "unbind", call: value }, failed)) : Effect.void
      )
      const alone: NetworkCall = {
        run: inTurn({ op: "run", call }),
        runShallow: inTurn({ op: "run", call, reusesDeep: true })
      }
      if (joint === undefined || joinings === undefined) return alone
      const run = yield* meetingOf(jointFormOf({ ...tensors, joinings })).join({
        call,
        most: joint.most,
        rows: inputs[joint.leader]?.dims[0] ?? 1,
        same: Object.entries(inputs).flatMap(([name, { data }]) => joinings[name] === "same" ? [data] : [])
      })
      return { ...alone, run }
    })

    const runOnce: Network["runOnce"] = (tensors) => inTurn({ op: "runOnce", network, ...tensors })

    const estimate: Network["estimate"] = (inputs) =>
      device === "cpu"
        ? Effect.map(ask(on, { op: "estimate", network, inputs }, failed), ({ estimate }) => estimate)
        : Effect.undefined

    return { ...info, file, isOpen: on.isAlive, bind, runOnce, estimate }
  })

  return Networks.of({ open, graphs, optimise })
})

type CallError = InferenceError | NetworkLoadError | NetworkThreadDied

/** Forms of calls whose times a network remembers. */
const mostMeetings = 256

// Calls that wait for each other.
interface Lane {
  readonly turn: Semaphore.Semaphore
  readonly threads: number
  thread: Thread | undefined
}

interface Thread {
  /** Differs from those of the threads before it. */
  readonly id: string
  readonly isAlive: () => boolean
  readonly ask: (command: Command) => Effect.Effect<Ok, Refused | NetworkThreadDied>
  readonly end: Effect.Effect<void>
}

const startThread = (spawn: () => Worker, countSessions: (change: number) => void): Thread => {
  const worker = spawn()
  let sessions = 0
  const setSessions = (count: number) => {
    countSessions(count - sessions)
    sessions = count
  }
  // Before the calls: where they fail, no network is counted any more.
  worker.on("error", () => setSessions(0))
  worker.on("exit", () => setSessions(0))
  const calls = WorkerCalls.make<Request, NetworkThreadDied>(
    worker,
    (reason) => Effect.fail(new NetworkThreadDied({ reason }))
  )
  worker.on("message", (message: Reply | Sessions) => {
    if ("sessions" in message && calls.isAlive()) setSessions(message.sessions)
  })

  return {
    id: `${worker.threadId}`,
    isAlive: calls.isAlive,
    end: calls.end,
    ask: (command) =>
      Effect.flatMap(
        calls.ask<Reply>((id) => ({ id, command })),
        (reply): Effect.Effect<Ok, Refused> =>
          reply.ok ? Effect.succeed(reply) : Effect.fail({ ...reply, _tag: "Refused" })
      )
  }
}
