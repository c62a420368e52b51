import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { execFileSync } from "node:child_process"
import { delimiter } from "node:path"
import { fileURLToPath } from "node:url"
import { embedded } from "../models/fixtures.ts"
import { serena, temporaryFolder } from "./process.ts"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

// Completes as bash does when Tab is pressed: the words are as typed, with their quotes.
const pressTab = `
source "$1"; shift
COMP_LINE="$*" COMP_POINT=\${#COMP_LINE} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_serena serena "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "\${COMPREPLY[@]}"
`

describe("completion in bash", () => {
  it.live("offers the models of the folder that the line names, and else of the usual one", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.realPath(yield* temporaryFolder)
      // Not as npm started these tests.
      const own = { env: { npm_lifecycle_event: "" } }
      const models = `${folder}/my models`
      yield* fs.makeDirectory(`${models}/broken`, { recursive: true })
      yield* fs.writeFileString(`${models}/broken/model_index.json`, "{}")
      for (const name of ["alpha", "dream one"]) yield* fs.symlink(embedded, `${models}/${name}`)
      yield* fs.writeFileString(`${folder}/script`, (yield* serena(["--completions", "bash"], own)).stdout)
      yield* fs.writeFileString(`${folder}/serena`, `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`)
      yield* fs.chmod(`${folder}/serena`, 0o755)
      const complete = (...words: ReadonlyArray<string>) =>
        execFileSync("bash", ["-c", pressTab, "bash", `${folder}/script`, "serena", ...words], {
          cwd: folder,
          encoding: "utf8",
          env: { ...process.env, PATH: `${folder}${delimiter}${process.env["PATH"]}`, SERENA_MODELS_DIR: "" }
        }).trim().split("\n")
      assert.deepStrictEqual(complete("txt2img", "--model", ""), ["shapes-128"])
      assert.deepStrictEqual(
        complete("txt2img", "--models-dir", `"${models}"`, "--model", ""),
        ["alpha", "dream\\ one", "shapes-128"]
      )
      assert.deepStrictEqual(
        complete("txt2img", `--models-dir=${models.replace(" ", "\\ ")}`, "--hr-checkpoint", "d"),
        ["dream\\ one"]
      )
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
