/**
 * Milliseconds that this thread computes while `run` runs. Time in which other processes have the processor is left
 * out.
 */
export const cpuTime = (run: () => unknown): number => {
  const before = process.threadCpuUsage()
  run()
  const { system, user } = process.threadCpuUsage(before)
  return (system + user) / 1000
}
