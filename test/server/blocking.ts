/**
 * Loaded into a server before its own code: at each SIGUSR2 it prints the longest time, in milliseconds, that the main
 * thread has computed without a pause since the last one. Time in which other processes have the processor is left out.
 */
import { isMainThread } from "node:worker_threads"

if (isMainThread) {
  let longest = 0
  let count = 0
  let cpu = process.threadCpuUsage()
  setInterval(() => {
    const { system, user } = process.threadCpuUsage(cpu)
    longest = Math.max(longest, (system + user) / 1000)
    cpu = process.threadCpuUsage()
  }, 1).unref()
  process.on("SIGUSR2", () => {
    process.stdout.write(`blocked ${++count}: ${longest}\n`)
    longest = 0
  })
}
