/** The `serena` command as a process of its own. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

export interface Ended {
  /** 128 and the signal's number when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  /** Waits until standard error has said something that fits. */
  readonly said: (pattern: RegExp) => Effect.Effect<void>
  /** Waits until standard output has printed something that fits, and gives it. */
  readonly printed: (pattern: RegExp) => Effect.Effect<string>
  readonly send: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly end: Effect.Effect<Ended>
}

export interface Options {
  readonly env?: Readonly<Record<string, string>>
  /** The working directory. */
  readonly cwd?: string
  /** Options of Node itself. */
  readonly node?: ReadonlyArray<string>
  /** The program that starts it, and its arguments, such as `nice`. It must become the command, as with `exec`. */
  readonly through?: readonly [program: string, ...args: ReadonlyArray<string>]
  /** Another program than the command. */
  readonly program?: string
  /** Whether to hang up before the first output can be read. */
  readonly closed?: boolean
}

/** Starts `serena ...args`. It ends with the scope at the latest. */
export const start = (args: ReadonlyArray<string>, options: Options = {}): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const { FORCE_COLOR: _, ...env } = process.env
        // A server's own; other commands do not make it.
        const data = join(tmpdir(), `serena-data-${randomUUID()}`)
        const [program, ...rest] = [
          ...options.through ?? [],
          process.execPath,
          ...options.node ?? [],
          options.program ?? main,
          ...args
        ] as const
        const child = spawn(program, rest, {
          ...(options.cwd !== undefined && { cwd: options.cwd }),
          env: { ...env, SERENA_DATA_DIR: data, ...options.env },
          stdio: ["ignore", "pipe", "pipe"]
        })
        let stdout = ""
        let stderr = ""
        const listeners = new Set<() => void>()
        const changed = () => {
          for (const listener of listeners) listener()
        }
        let code: number | null | undefined
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          stdout += text
          changed()
        })
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          stderr += text
          changed()
        })
        if (options.closed === true) child.stdout.destroy()
        child.on("close", (exit, signal) => {
          // As a shell tells it of a process that a signal ended.
          code = signal === null ? exit : 128 + constants.signals[signal]
          changed()
        })
        const until = <A>(look: () => A | undefined) =>
          Effect.callback<A>((resume) => {
            const listener = () => {
              const found = look()
              if (found === undefined) return
              listeners.delete(listener)
              resume(Effect.succeed(found))
            }
            listeners.add(listener)
            listener()
            return Effect.sync(() => listeners.delete(listener))
          })
        return {
          child,
          data,
          said: (pattern: RegExp) =>
            Effect.flatMap(
              until(() => pattern.test(stderr) ? true : code !== undefined ? false : undefined),
              (found) =>
                found ? Effect.void : Effect.die(new Error(`It ended without saying ${pattern}, but:\n${stderr}`))
            ),
          printed: (pattern: RegExp) =>
            Effect.flatMap(
              until(() => pattern.exec(stdout)?.[0] ?? (code === undefined ? undefined : "")),
              (found) =>
                found === ""
                  ? Effect.die(new Error(`It ended without printing ${pattern}, but:\n${stdout}${stderr}`))
                  : Effect.succeed(found)
            ),
          send: (signal: NodeJS.Signals) => Effect.sync(() => child.kill(signal)),
          end: until((): Ended | undefined => code === undefined ? undefined : { code, stdout, stderr })
        }
      }),
      ({ child, data }) =>
        Effect.sync(() => {
          child.kill("SIGKILL")
          rmSync(data, { recursive: true, force: true })
        })
    ),
    (running) => Struct.omit(running, ["child", "data"])
  )

/** Runs `serena ...args` to its end. */
export const serena = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ end }) => end))

export const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

export const temporaryFolder = FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped())

/** Every file below a folder, hidden ones too, sorted. */
export const filesIn = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const names = yield* fs.readDirectory(folder, { recursive: true })
  return names.filter((name) => name.includes("/")).toSorted()
})
