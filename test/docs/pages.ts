/**
 * The pages for people, and what can be tried of them.
 *
 * Every block of a page is a program (`ts`, its first line names its file), commands (`sh`), or `text`. Two remarks,
 * which readers do not see, say more: `<!-- prints -->` before a text means that the program or command above it prints
 * just that, and `<!-- fails: 2 -->` before commands that they end with this exit code.
 */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export const project = fileURLToPath(new URL("../../", import.meta.url))

export interface Block {
  /** Where it is, for people: `README.md:12`. */
  readonly place: string
  /** The `##` heading that it stands under. */
  readonly section: string
  readonly language: string
  readonly text: string
  /** What the block is said to end with. */
  readonly exitCode: number
  /** Whether this is what the block before it prints. */
  readonly isOutput: boolean
}

export interface Page {
  /** Path from the project's folder. */
  readonly path: string
  readonly blocks: ReadonlyArray<Block>
  readonly links: ReadonlyArray<string>
  /** What `#...` may point to. */
  readonly anchors: ReadonlyArray<string>
  /** All that is not in a block. */
  readonly prose: string
}

export const pages = (): ReadonlyArray<Page> =>
  ["README.md", ...globSync("docs/**/*.md", { cwd: project }).sort()].map((path) =>
    read(path, readFileSync(join(project, path), "utf8"))
  )

/** Those whose every program and command is tried here. The how-to pages are tried in test/examples. */
export const followed = (all: ReadonlyArray<Page>): ReadonlyArray<Page> =>
  all.filter(({ blocks, path }) => !path.startsWith("docs/how-to/") && blocks.some(isTried))

const read = (path: string, source: string): Page => {
  const blocks: Array<Block> = []
  const prose: Array<string> = []
  let open: { readonly language: string; readonly line: number; readonly remark: string } | undefined
  let text: Array<string> = []
  let remark = ""
  let section = ""
  for (const [index, line] of source.split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line)
    if (open !== undefined && fence === null) {
      text.push(line)
    } else if (open !== undefined) {
      blocks.push({
        place: `${path}:${open.line}`,
        section,
        language: open.language,
        text: text.join("\n"),
        exitCode: Number(/^fails: (\d+)$/.exec(open.remark)?.[1] ?? 0),
        isOutput: open.remark === "prints"
      })
      open = undefined
      text = []
      remark = ""
    } else if (fence !== null) {
      open = { language: fence[1] ?? "", line: index + 1, remark }
    } else {
      prose.push(line)
      section = /^## (.*)$/.exec(line)?.[1] ?? section
      if (line !== "") remark = /^<!-- (.*) -->$/.exec(line)?.[1] ?? ""
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: this block does not end`)
  const rest = prose.join("\n")
  return {
    path,
    blocks,
    links: [...rest.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target),
    anchors: [...rest.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => anchor(title)),
    prose: rest
  }
}

const anchor = (title: string): string =>
  title.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-")

/** Whether a block is to be tried. */
export const isTried = ({ language }: Block): boolean => language !== "text"

/** The name that a program's first line gives it. */
export const fileName = ({ place, text }: Block): string => {
  const name = /^\/\/ ([\w-]+\.mts)\n/.exec(text)?.[1]
  if (name === undefined) throw new Error(`${place}: a program's first line is its file, as in "// picture.mts"`)
  return name
}

/** Whether the commands work on a clone of the project. */
export const isForClone = ({ language, text }: Block): boolean =>
  language === "sh" && /^npm (?:ci|start|run|test)\b/m.test(text)

/** The commands without those that install something. */
export const withoutInstallation = (commands: string): string =>
  commands.split("\n").filter((line) => !/^(?:\w+=\S+ )?npm (?:init|install)\b/.test(line)).join("\n")
