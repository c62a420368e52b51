/** Whether the main thread stays free while something runs. */
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { performance } from "node:perf_hooks"

/** Milliseconds for which the calling thread has waited for a processor that other threads had (0 but on Linux). */
const waited = (): number => {
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[1]) / 1e6
  } catch {
    return 0
  }
}

/**
 * Runs `effect` under a 1 ms timer and returns, in milliseconds, how late the latest tick was and the longest time that
 * the main thread itself computed between two ticks. Time in which other threads had the processor is left out of both.
 */
export const watched = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      let last = performance.now()
      let waiting = waited()
      let cpu = process.threadCpuUsage()
      const found = { latest: 0, longest: 0, ticks: 0 }
      const timer = setInterval(() => {
        const [now, nowWaiting] = [performance.now(), waited()]
        const { system, user } = process.threadCpuUsage(cpu)
        found.latest = Math.max(found.latest, now - last - 1 - (nowWaiting - waiting))
        found.longest = Math.max(found.longest, (system + user) / 1000)
        found.ticks++
        last = now
        waiting = nowWaiting
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
