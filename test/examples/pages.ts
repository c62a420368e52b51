/**
 * The pages of docs/how-to and the programs in them.
 *
 * A page's programs are files in a folder here that has the page's name. The text of a block is the text of the file
 * that its first line names.
 */
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { project } from "../docs/pages.ts"

/** Pages that have a folder, by name. */
export const names: ReadonlyArray<string> = globSync("*/", { cwd: import.meta.dirname }).map((path) => basename(path))

export const pathOf = (name: string): string => join(project, `docs/how-to/${name}.md`)

/** The page as it should be: with the text of the files in its blocks. */
export const withPrograms = (name: string): string =>
  readFileSync(pathOf(name), "utf8").replaceAll(
    /^(```ts\n\/\/ (\S+)\n).*?^```$/gms,
    (_, _head, file: string) =>
      `\`\`\`ts\n${readFileSync(join(import.meta.dirname, name, file), "utf8").trimEnd()}\n\`\`\``
  )

/** Files that a page says nothing of, though they begin as a block does. */
export const unused = (name: string): ReadonlyArray<string> =>
  globSync("*.mts", { cwd: join(import.meta.dirname, name) }).filter((file) =>
    readFileSync(join(import.meta.dirname, name, file), "utf8").startsWith(`// ${file}\n`) &&
    !withPrograms(name).includes(`\`\`\`ts\n// ${file}\n`)
  )
