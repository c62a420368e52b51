/**
 * The start of the thread for networks. Nothing else is imported here, as a command does it before it loads the rest.
 */
import { Worker } from "node:worker_threads"

/**
 * onnxruntime 1.30 writes a device id and an event database into the home folder and contacts a collector, unless this
 * variable is in the environment of the process when its library loads. A value that the user set stands.
 *
 * Only the main thread's `process.env` is the environment of the process: a program that builds Serena's layer in a
 * worker thread must set the variable itself, before it starts that thread.
 */
const withoutTelemetry = (): void => {
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1"
}

const url = new URL(import.meta.url.endsWith(".ts") ? "./networkThread.ts" : "./networkThread.js", import.meta.url)

const start = (files: ReadonlyArray<string> = []): Worker => {
  withoutTelemetry()
  return new Worker(url, { execArgv: [], workerData: files })
}

let ahead: Worker | undefined

const forget = () => {
  ahead = undefined
}

/**
 * Starts a thread for the next `spawn`. It loads onnxruntime and opens the networks of `files` while this thread loads
 * modules. One that fails is forgotten: the next is started when it is needed, and says what is wrong.
 */
export const startAhead = (files: ReadonlyArray<string>): void => {
  ahead = start(files).once("error", forget).once("exit", forget)
  ahead.unref()
}

/** A thread for networks. */
export const spawn = (): Worker => {
  const worker = ahead ?? start()
  worker.off("error", forget).off("exit", forget)
  forget()
  return worker
}
