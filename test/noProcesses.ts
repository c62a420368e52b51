/** Set up before each file of the unit and engine tests: whatever starts a process throws instead. */
import childProcess from "node:child_process"
import { syncBuiltinESMExports } from "node:module"

const names = ["exec", "execFile", "execFileSync", "execSync", "fork", "spawn", "spawnSync"] as const

for (const name of names) {
  const value = (): never => {
    throw new Error(`This test calls ${name}. A test that starts a process belongs in a file X.process.test.ts.`)
  }
  Object.defineProperty(childProcess, name, { value, configurable: true, enumerable: true, writable: true })
}
syncBuiltinESMExports()
