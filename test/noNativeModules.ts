/**
 * Set up before each file of the unit tests: whatever loads a native module, or starts a thread for it, throws instead.
 */
import { syncBuiltinESMExports } from "node:module"
import workerThreads from "node:worker_threads"

process.dlopen = (_module, filename): never => {
  throw new Error(`This test loads ${filename}. A test of native modules belongs in a file X.engine.test.ts.`)
}

// A function, and not an arrow: it is called with `new`.
const value = function(filename: string | URL): never {
  throw new Error(`This test starts the thread ${filename}. Such a test belongs in a file X.engine.test.ts.`)
}
Object.defineProperty(workerThreads, "Worker", { value, configurable: true, enumerable: true, writable: true })
syncBuiltinESMExports()
