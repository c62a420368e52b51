/**
 * The thread that runs the networks. onnxruntime's `run` blocks the thread that calls it, so this thread does nothing else.
 *
 * It holds sessions (an open network) and calls (a session with its input and output buffers bound), both by number, and
 * answers requests one after the other. It is started by `Networks` and by nothing else.
 */
import { parentPort } from "node:worker_threads"
import { InferenceSession, Tensor } from "onnxruntime-node"
import type { Command, NetworkInfo, Reply, Request, SharedTensor } from "./networkProtocol.ts"

interface Call {
  readonly session: InferenceSession
  readonly feeds: Record<string, Tensor>
  readonly fetches: Record<string, Tensor>
}

const sessions = new Map<number, InferenceSession>()
const calls = new Map<number, Call>()
let count = 0

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

const perform = async (command: Command): Promise<{ value: number; info?: NetworkInfo }> => {
  switch (command.op) {
    case "open": {
      const session = await InferenceSession.create(command.file, {
        executionProviders: command.provider === "cpu" ? ["cpu"] : [command.provider, "cpu"],
        ...(command.threads > 0 && { intraOpNumThreads: command.threads }),
        interOpNumThreads: 1,
        // Errors come back as exceptions; printing them as well would only disturb the terminal.
        logSeverityLevel: 4
      })
      sessions.set(++count, session)
      return { value: count, info: info(session) }
    }
    case "close": {
      const session = known(sessions, command.session)
      sessions.delete(command.session)
      await session.release()
      return { value: 0 }
    }
    case "bind": {
      const session = known(sessions, command.session)
      calls.set(++count, { session, feeds: tensors(command.inputs), fetches: tensors(command.outputs) })
      return { value: count }
    }
    case "unbind": {
      calls.delete(command.call)
      return { value: 0 }
    }
    case "run": {
      const { feeds, fetches, session } = known(calls, command.call)
      await session.run(feeds, fetches)
      return { value: 0 }
    }
  }
}

const answer = async ({ command, id }: Request): Promise<Reply> => {
  try {
    return { id, ok: true, ...(await perform(command)) }
  } catch (error) {
    return { id, ok: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

let last = Promise.resolve()
parentPort?.on("message", (request: Request) => {
  last = last.then(async () => parentPort?.postMessage(await answer(request)))
})
