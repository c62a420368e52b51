/**
 * `src/core/simd.as`, compiled to WebAssembly.
 */
import { main } from "assemblyscript/asc"
import { readFile } from "node:fs/promises"

const source = new URL("../../src/core/simd.as", import.meta.url)

const compiled = async (): Promise<Uint8Array> => {
  const text = await readFile(source, "utf8")
  const files = new Map<string, string | Uint8Array>([["simd.ts", text]])
  const { error, stderr } = await main(
    ["simd.ts", "--outFile", "simd.wasm", "-O3", "--runtime", "stub", "--enable", "simd", "--noAssert"],
    {
      readFile: (name) => files.get(name)?.toString() ?? null,
      writeFile: (name, contents) => void files.set(name, contents),
      listFiles: () => []
    }
  )
  if (error !== null) throw new Error(`src/core/simd.as: ${stderr.toString()}`, { cause: error })
  const module = files.get("simd.wasm")
  if (!(module instanceof Uint8Array)) throw new Error("src/core/simd.as was not compiled")
  return module
}

/** `src/core/simdModule.ts`. */
export const simdModule = async (): Promise<string> => {
  const lines = Buffer.from(await compiled()).toString("base64").match(/.{1,112}/g) ?? []
  return "// Made by `npm run docs` from `simd.as`. Do not edit.\n\n/** A module of WebAssembly, in base64. */\n" +
    `export const simdModule =\n  ${lines.map((line) => JSON.stringify(line)).join(" +\n  ")}\n`
}
