/** Tests of the rows of `docs/reliability.md`. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { filesIn } from "../cli/process.ts"
import type { Fault } from "./faults.ts"

/** A test that tries the fault as often as its row says; `absent` says what this machine lacks for it. */
export const trying = <E>(
  { fault, times }: Fault,
  trial: (time: number) => Effect.Effect<void, E, FileSystem.FileSystem | Scope.Scope>,
  absent?: string
): void =>
  it.live.skipIf(absent !== undefined)(
    absent === undefined ? fault : `${fault} (${absent})`,
    () =>
      Effect.forEach(Array.from({ length: times }, (_, time) => time), (time) => Effect.scoped(trial(time)), {
        discard: true
      }).pipe(Effect.provide(NodeFileSystem.layer))
  )

/** Starts a program with file systems that only it sees. */
export const unshare = ["unshare", "--user", "--map-root-user", "--mount"] as const

/** Why it cannot, as in containers without privileges; undefined where it can. */
export const cannotMount =
  spawnSync(unshare[0], [...unshare.slice(1), "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0
    ? undefined
    : "this machine lets no user mount a file system"

/** The last chunk of every PNG file. */
const end = Buffer.from("0000000049454e44ae426082", "hex")

/** Whether a PNG file has been written to its end. */
const isWhole = (bytes: Uint8Array): boolean => end.equals(bytes.subarray(-end.length))

/** The images below a folder, and whether each is whole. */
export const imagesIn = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const names = (yield* filesIn(folder)).filter((name) => name.endsWith(".png"))
  const whole = yield* Effect.forEach(names, (name) => Effect.map(fs.readFile(`${folder}/${name}`), isWhole))
  return { count: names.length, areWhole: whole.every((is) => is) }
})

/** Integers from 0 to below `end`, the same each time. */
export const numbers = (seed: number) => {
  let state = seed
  return (end: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * end)
  }
}
