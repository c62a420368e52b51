/**
 * `serena doctor`.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import * as Serena from "../Serena.ts"
import { dataDirOf } from "./dataDir.ts"
import { type Finding, problem } from "./doctor/Finding.ts"
import { dataFindings, modelFindings } from "./doctor/folders.ts"
import { machineFindings, ofClock } from "./doctor/machine.ts"
import { UnfitMachine } from "./failures.ts"
import { byFlag, type Written } from "./Flags.ts"
import { namedModelsDirs } from "./modelsDir.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { printable } from "./tables.ts"

interface DoctorOptions extends ProcessFlags.Places {
  /** The flags of `ProcessFlags.machine`. */
  readonly machine: Written
  /** Address of a PostgreSQL database. */
  readonly database: Option.Option<string>
  readonly json: boolean
}

/** Looks at everything, and prints what it found. Fails when there is a problem. */
export const examine = Effect.fn("doctor")(function*({ database, dataDir, json, machine, modelsDir }: DoctorOptions) {
  const options = yield* Effect.mapError(
    ProcessFlags.decodeMachine(machine),
    (problems) => new InvalidOptions({ problems: problems.map(byFlag(ProcessFlags.table)) })
  )
  const data = yield* dataDirOf(Option.getOrUndefined(dataDir))
  const stored = Option.isNone(database)
    ? { findings: [], ahead: undefined }
    : yield* (yield* Effect.promise(() => import("./doctor/database.ts"))).databaseFindings(database.value)
  const now = yield* Clock.currentTimeMillis
  const findings: ReadonlyArray<Finding> = [
    ...(yield* machineFindings(options)),
    ofClock(now, stored.ahead === undefined ? undefined : now + stored.ahead),
    ...(yield* dataFindings(data)),
    ...(yield* ofModels(Option.getOrElse(modelsDir, () => []), data)),
    ...stored.findings
  ]
  yield* Console.log(json ? findings.map(jsonLine).join("\n") : shown(findings))
  const problems = findings.filter(({ level }) => level === "problem").length
  if (problems > 0) return yield* new UnfitMachine({ problems })
})

const ofModels = Effect.fnUntraced(function*(flags: ReadonlyArray<string>, dataDir: string | undefined) {
  const named = yield* Effect.result(namedModelsDirs(flags))
  if (Result.isFailure(named)) {
    return named.failure.map(({ message }) =>
      problem("models", message, "Name the folder with --models-dir or SERENA_MODELS_DIR.")
    )
  }
  return yield* Effect.provide(modelFindings, Serena.layer({ cmdOpts: { modelsDir: named.success, dataDir } }))
})

const jsonLine = ({ advice, check, found, level }: Finding): string =>
  JSON.stringify({ check, level, found, advice: advice ?? null })

const shown = (findings: ReadonlyArray<Finding>): string => {
  const width = Math.max(...findings.map(({ check }) => check.length))
  return findings.map(({ advice, check, found, level }) =>
    printable(`${level.padEnd(7)}  ${check.padEnd(width)}  ${found}${advice === undefined ? "" : `. ${advice}`}`)
  ).join("\n")
}
