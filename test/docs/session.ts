/**
 * What a reader of a page does: saves its programs, types its commands, and compares what is printed.
 */
import { spawn } from "node:child_process"
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { type Block, fileName, project } from "./pages.ts"

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs shell commands in `folder`, as a person there would. The first that fails is the last. */
export const shell = (
  commands: string,
  options: { readonly folder: string; readonly path: ReadonlyArray<string>; readonly env?: Record<string, string> }
): Promise<Ended> => {
  // What this process was told by npm and vitest is not for a project of its own. The way to the registry is.
  const own = Object.entries(process.env).filter(([name]) =>
    !/^(?:npm_(?!config_(?:registry|cache|userconfig)$)|VITEST|ONNXRUNTIME|NODE_OPTIONS$|NODE_ENV$|FORCE_COLOR$)/i.test(
      name
    )
  )
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((place) => !place.endsWith("node_modules/.bin"))
  const child = spawn("bash", ["-euo", "pipefail", "-c", commands], {
    cwd: options.folder,
    env: {
      ...Object.fromEntries(own),
      // A server keeps nothing among the user's data.
      SERENA_DATA_DIR: join(options.folder, ".local/share/serena"),
      ...options.env,
      PATH: [...options.path, ...path].join(delimiter)
    },
    stdio: ["ignore", "pipe", "pipe"],
    // What hangs is ended and reported. Installing takes minutes on a busy machine.
    timeout: 900_000
  })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
  return new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })
}

/** A new folder that nothing else uses, gone when `use` has ended. */
export const inTemporaryFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "serena-")))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The folder of the Node that runs this. */
export const nodeFolder = dirname(process.execPath)

// The package's own manifest, whose exports lead to the sources instead of what is built from them.
const manifestOfSources = async (): Promise<string> =>
  (await readFile(join(project, "package.json"), "utf8"))
    .replaceAll(/"\.\/dist\/([\w/]+)(?:\.d\.ts|\.js)"/g, "\"./src/$1.ts\"")

/**
 * Makes `folder` one where `npm install serena-runtime` was run, with this checkout as the package, and gives the
 * folder where `npx serena` is.
 */
export const installCheckout = async (folder: string): Promise<string> => {
  const modules = join(folder, "node_modules")
  const own = join(modules, "serena-runtime")
  const bin = join(folder, ".bin")
  await Promise.all([own, bin].map((path) => mkdir(path, { recursive: true })))
  await Promise.all([
    writeFile(join(own, "package.json"), await manifestOfSources()),
    ...["src", "models"].map((name) => symlink(join(project, name), join(own, name))),
    ...["effect", "@types", "@effect"].map((name) => symlink(join(project, "node_modules", name), join(modules, name))),
    writeFile(
      join(bin, "npx"),
      `#!/bin/sh\ntest "$1" = serena || exit 127\nshift\nexec "${process.execPath}" "${project}src/cli/main.ts" "$@"\n`,
      { mode: 0o755 }
    )
  ])
  return bin
}

/** Saves the programs among `blocks`. */
export const savePrograms = async (blocks: ReadonlyArray<Block>, folder: string): Promise<void> => {
  const programs = blocks.filter(({ language }) => language === "ts")
  await Promise.all(programs.map((block) => writeFile(join(folder, fileName(block)), `${block.text}\n`)))
}

/** Does all that `blocks` say, from top to bottom, but for those that are `passedOver`. Gives what went otherwise. */
export const follow = async (
  blocks: ReadonlyArray<Block>,
  options: {
    readonly folder: string
    readonly path: ReadonlyArray<string>
    readonly env?: Record<string, string>
    readonly passedOver: (block: Block) => boolean
    readonly mapped?: (commands: string) => string
  }
): Promise<ReadonlyArray<string>> => {
  await savePrograms(blocks, options.folder)
  // A program that is run with a command is not run before.
  const typed = blocks.filter(({ language }) => language === "sh").map(({ text }) => text).join("\n")
  const differences: Array<string> = []
  let last: Ended | undefined
  for (const block of blocks) {
    if (block.isOutput) {
      if (last !== undefined) differences.push(...compare(block, last, options.folder))
      continue
    }
    last = undefined
    const command = block.language === "ts" ? `node ${fileName(block)}` : block.text
    if (block.language === "ts" ? typed.includes(command) : block.language !== "sh" || options.passedOver(block)) {
      continue
    }
    last = await shell(options.mapped?.(command) ?? command, options)
    if (last.code !== block.exitCode) {
      differences.push(`${block.place} ended with ${last.code}:\n${last.stdout}${last.stderr}`)
    }
  }
  return differences
}

const day = /\d{4}-\d\d-\d\d/g

// In a page, `…` stands for anything within a line, and days and folders are an example's. What npm has to say of
// itself is not the page's.
const compare = (block: Block, { code, stderr, stdout }: Ended, folder: string): ReadonlyArray<string> => {
  const printed = (code === 0 ? stdout : stderr).replaceAll(/^npm (?:warn|notice).*\n/gm, "").trimEnd().replaceAll(
    day,
    "2026-01-31"
  )
    .replaceAll(join(folder, ".local"), "/home/me/.local").replaceAll(folder, "/home/me/pictures")
  const expected = block.text.trimEnd().split("…").map(escaped).join(".*")
  return new RegExp(`^${expected}$`).test(printed)
    ? []
    : [`${block.place} says that this is printed:\n${block.text}\n\nbut it is:\n${printed}`]
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
