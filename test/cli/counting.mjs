/**
 * Counts what a process does, for `node --import`: as it ends, it writes the counts as JSON to the file that the
 * variable `SERENA_COUNTS` names. Only the main thread is counted; messages are those to and from other threads.
 */
import fs from "node:fs"
import { open } from "node:fs/promises"
import { registerHooks, syncBuiltinESMExports } from "node:module"
import { isMainThread, Worker } from "node:worker_threads"

const file = process.env["SERENA_COUNTS"]

if (isMainThread && file !== undefined) {
  const counts = { modules: 0, messages: 0, syncs: 0, writes: 0, bytesWritten: 0, opens: 0, largeArrays: 0 }

  registerHooks({
    load: (url, context, next) => {
      if (url.startsWith("file:")) counts.modules++
      return next(url, context)
    }
  })

  /** Calls `count` with the arguments of each call of some methods. */
  const watch = (holder, names, count) => {
    for (const name of names) {
      const original = holder[name]
      holder[name] = function(...args) {
        count(...args)
        return Reflect.apply(original, this, args)
      }
    }
  }
  watch(Worker.prototype, ["postMessage"], () => counts.messages++)
  watch(Worker.prototype, ["emit"], (event) => {
    if (event === "message") counts.messages++
  })

  const lengthOf = (data) =>
    Array.isArray(data) ? data.reduce((sum, part) => sum + part.byteLength, 0) : Buffer.byteLength(data)
  const written = (_, data) => {
    counts.writes++
    counts.bytesWritten += lengthOf(data)
  }
  const isFile = (target) => typeof target !== "number" || target > 2
  watch(fs, ["fsync", "fsyncSync", "fdatasync", "fdatasyncSync"], () => counts.syncs++)
  watch(fs, ["open", "openSync", "readFile", "readFileSync"], (path) => {
    if (typeof path !== "number") counts.opens++
  })
  watch(fs, ["write", "writeSync", "writev", "writevSync", "writeFile", "writeFileSync"], (target, data) => {
    if (isFile(target)) written(target, data)
  })
  watch(fs.promises, ["open", "readFile"], () => counts.opens++)
  watch(fs.promises, ["writeFile"], written)
  syncBuiltinESMExports()
  const handle = await open(import.meta.filename)
  const handles = Object.getPrototypeOf(handle)
  await handle.close()
  counts.opens = 0
  watch(handles, ["sync", "datasync"], () => counts.syncs++)
  watch(handles, ["write", "writev", "writeFile"], (data) => written(undefined, data))

  // As large as one latent of the embedded model, or larger.
  globalThis.Float32Array = new Proxy(Float32Array, {
    construct: (target, args, self) => {
      const array = Reflect.construct(target, args, self)
      if (array.byteOffset === 0 && array.length >= 1024) counts.largeArrays++
      return array
    }
  })

  const { writeFileSync } = fs
  process.on("exit", () => {
    const found = JSON.stringify(counts)
    writeFileSync(file, found)
  })
}
