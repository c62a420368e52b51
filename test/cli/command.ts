/** The `serena` command in this process. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import { format } from "node:util"
import { serena as command } from "../../src/cli/serena.ts"

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `serena ...args` and returns its exit code and what it wrote. */
export const serena = (args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  Effect.suspend(() => {
    let stdout = ""
    let stderr = ""
    const toStdout = (text: string) => void (stdout += text)
    const toStderr = (text: string) => void (stderr += text)
    const decoder = new TextDecoder()
    const into = (write: (text: string) => void) => () =>
      Sink.forEach((chunk: string | Uint8Array) =>
        Effect.sync(() => write(typeof chunk === "string" ? chunk : decoder.decode(chunk)))
      )
    return Console.consoleWith((console) =>
      command(args, Stdio.layerTest({ stdout: into(toStdout), stderr: into(toStderr) })).pipe(
        Effect.provideService(Console.Console, {
          ...console,
          log: (...args: ReadonlyArray<unknown>) => toStdout(`${format(...args)}\n`),
          error: (...args: ReadonlyArray<unknown>) => toStderr(`${format(...args)}\n`)
        }),
        Effect.map((code) => ({ code, stdout, stderr }))
      )
    )
  })

/** Runs an effect with variables in the environment. Two at once would see each other's. */
export const withEnvironment = (
  variables: Readonly<Record<string, string>>
): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =>
(effect) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
      Object.assign(process.env, variables)
      return before
    }),
    () => Effect.provideService(effect, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv()),
    (before) =>
      Effect.sync(() => {
        for (const [name, value] of before) {
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
        }
      })
  )
