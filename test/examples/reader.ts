/**
 * What a reader has: a folder with `serena-runtime` installed, the programs of a page, and a Node to run them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { cp, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { project } from "../docs/pages.ts"
import { installCheckout } from "../docs/session.ts"

/** Folders of programs, each named for its page in docs/how-to. */
export const examples = fileURLToPath(new URL(".", import.meta.url))

/** A folder of its own with the programs of a page in it, gone when the scope closes. */
export const folderWith = (page: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await realpath(await mkdtemp(join(tmpdir(), "serena-example-")))
      await cp(join(examples, page), folder, { recursive: true })
      await installCheckout(folder)
      await symlink(join(project, "node_modules/vitest"), join(folder, "node_modules/vitest"))
      return folder
    }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  )

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  /** Waits until standard output or standard error has said something that fits, and gives what fitted. */
  readonly said: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  readonly send: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly end: Effect.Effect<Ended>
}

/** Starts `node program` in a folder. It ends with the scope at the latest. */
export const start = (
  folder: string,
  program: string | ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const { FORCE_COLOR: _, NODE_OPTIONS: __, ...inherited } = process.env
        const child = spawn(process.execPath, [program].flat(), {
          cwd: folder,
          env: { ...inherited, SERENA_DATA_DIR: join(folder, ".data"), ...env },
          stdio: ["ignore", "pipe", "pipe"]
        })
        let ended: Ended | undefined
        let stdout = ""
        let stderr = ""
        const listeners = new Set<() => void>()
        const changed = () => {
          for (const listener of listeners) listener()
        }
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          stdout += text
          changed()
        })
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          stderr += text
          changed()
        })
        child.on("close", (code) => {
          ended = { code, stdout, stderr }
          changed()
        })
        const until = <A>(look: () => Effect.Effect<A> | undefined) =>
          Effect.callback<A>((resume) => {
            const listener = () => {
              const found = look()
              if (found === undefined) return
              listeners.delete(listener)
              resume(found)
            }
            listeners.add(listener)
            listener()
            return Effect.sync(() => listeners.delete(listener))
          })
        const running: Running = {
          said: (pattern) =>
            until(() => {
              const found = pattern.exec(stdout) ?? pattern.exec(stderr)
              if (found !== null) return Effect.succeed(found)
              return ended && Effect.die(new Error(`It ended without saying ${pattern}, but:\n${stdout}${stderr}`))
            }),
          send: (signal) => Effect.sync(() => child.kill(signal)),
          end: until(() => ended && Effect.succeed(ended))
        }
        return { child, running }
      }),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    ({ running }) => running
  )

/** Runs `node program` to its end. */
export const run = (
  folder: string,
  program: string | ReadonlyArray<string>,
  env?: Readonly<Record<string, string>>
): Effect.Effect<Ended> => Effect.scoped(Effect.flatMap(start(folder, program, env), ({ end }) => end))

/** Runs programs in one process, one after the other, and gives what each printed on standard output. */
export const runEach = Effect.fnUntraced(function*(folder: string, programs: ReadonlyArray<string>) {
  const script = programs.map((program) => `await import("./${program}"); process.stdout.write("\\0")`).join("\n")
  yield* Effect.promise(() => writeFile(join(folder, "each.mts"), script))
  const { code, stderr, stdout } = yield* run(folder, "each.mts")
  if (code !== 0) return yield* Effect.die(new Error(`${programs.join(", ")} ended with ${code}:\n${stdout}${stderr}`))
  return { stdout: stdout.split("\0").map((text) => lines(text)), stderr: lines(stderr) }
})

export const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")
