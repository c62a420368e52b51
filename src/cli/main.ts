#!/usr/bin/env node
/**
 * The `serena` command.
 *
 * It checks Node's version before it imports anything, as the rest does not load on older versions.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `Serena needs Node.js 22.19 or newer, and this is ${process.versions.node}. Install a newer one from https://nodejs.org.\n`
  )
  process.exitCode = 1
} else {
  const args = process.argv.slice(2)
  const [{ enableCompileCache }, { packageFile }] = await Promise.all([
    import("node:module"),
    import("../core/packageFile.ts")
  ])
  // Compiled code is kept where the sources are: those who may write there could as well change them. The variable is
  // for the threads.
  process.env["NODE_COMPILE_CACHE"] ??= packageFile("node_modules", ".cache", "compiled")
  enableCompileCache()
  const generates = ["contact-sheet", "demo", "img2img", "txt2img"].includes(args[0] ?? "")
  const isElsewhere = args.some((arg) => arg === "--via" || arg.startsWith("--via="))
  if (generates && !isElsewhere && !args.includes("--help") && !args.includes("-h")) {
    const [{ startAhead }, { networksAhead }] = await Promise.all([
      import("../models/networkWorker.ts"),
      import("./networksAhead.ts")
    ])
    startAhead(networksAhead(args))
  }
  const [Effect, { serena }] = await Promise.all([import("effect/Effect"), import("./serena.ts")])

  // A reader of the output may close it at any time, as `head` does. The rest of the output is dropped, the run goes
  // on.
  let lost: string | undefined
  process.stderr.on("error", () => {})
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE" || lost !== undefined) return
    lost = error.message
    process.stderr.write(`The results could not be written to standard output: ${lost}.\n`)
  })

  const code = await Effect.runPromise(serena(args))
  // Exits once both streams are flushed and have reported their errors, without waiting for idle threads.
  const end = () => process.exit(code === 0 && lost !== undefined ? 1 : code)
  process.stdout.write("", () => process.stderr.write("", () => setImmediate(end)))
}
