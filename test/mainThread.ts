/** Whether the main thread stays free while something runs. */
import * as Effect from "effect/Effect"
import { performance } from "node:perf_hooks"

/**
 * Runs `effect` under a 1 ms timer and tells, in milliseconds, the latest tick and the longest time that the main
 * thread itself computed between two ticks. The first is also late when other processes take the processor; the second
 * is not.
 */
export const watched = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      let last = performance.now()
      let cpu = process.threadCpuUsage()
      const found = { latest: 0, longest: 0, ticks: 0 }
      const timer = setInterval(() => {
        const now = performance.now()
        const { system, user } = process.threadCpuUsage(cpu)
        found.latest = Math.max(found.latest, now - last - 1)
        found.longest = Math.max(found.longest, (system + user) / 1000)
        found.ticks++
        last = now
        cpu = process.threadCpuUsage()
      }, 1)
      return { found, timer }
    }),
    ({ found }) => Effect.as(effect, found),
    ({ timer }) => Effect.sync(() => clearInterval(timer))
  )

/**
 * Runs `effect` and returns the main thread's part of the processor time that this process used, from 0 to 1. Other
 * processes have no influence on it.
 */
export const mainThreadShare = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function*() {
    const [thread, all] = [process.threadCpuUsage(), process.cpuUsage()]
    yield* effect
    const { system, user } = process.threadCpuUsage(thread)
    const total = process.cpuUsage(all)
    return (system + user) / (total.system + total.user)
  })
