/**
 * The studio as three files: a page, a script and a style sheet.
 *
 * From sources they are bundled in memory, once; a published package contains the files written by `npm run build`.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { packageFile } from "../../core/packageFile.ts"

export interface StudioBundle {
  /** The page, which names `app.js` and `app.css`. */
  readonly html: string
  readonly js: Uint8Array
  readonly css: Uint8Array
}

const isSource = import.meta.url.endsWith(".ts")
const folder = packageFile(isSource ? "src" : "dist", "studio")

/** Bundles the sources in `src/studio` with esbuild. */
export const bundle = Effect.fnUntraced(function*() {
  const fs = yield* FileSystem.FileSystem
  const outputs = yield* Effect.promise(async () => {
    const { build } = await import("esbuild")
    const { outputFiles } = await build({
      entryPoints: [{ in: `${folder}/main.tsx`, out: "app" }, { in: `${folder}/style/studio.css`, out: "app" }],
      outdir: folder,
      tsconfig: `${folder}/tsconfig.json`,
      bundle: true,
      minify: true,
      write: false,
      format: "esm",
      target: ["chrome111", "firefox115", "safari16.4"],
      legalComments: "none",
      logLevel: "silent"
    })
    return outputFiles
  })
  const output = (extension: string) =>
    outputs.find(({ path }) => path.endsWith(extension))?.contents ?? new Uint8Array()
  return {
    html: yield* fs.readFileString(`${folder}/index.html`),
    js: output(".js"),
    css: output(".css")
  } satisfies StudioBundle
})

const built = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  return {
    html: yield* fs.readFileString(`${folder}/index.html`),
    js: yield* fs.readFile(`${folder}/app.js`),
    css: yield* fs.readFile(`${folder}/app.css`)
  } satisfies StudioBundle
})

/** Whether this installation has a studio. */
export const exists = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(`${folder}/index.html`))

/** The studio of this installation. */
export const load = Effect.suspend(() => isSource ? bundle() : built)

/** Writes the bundle into a folder. */
export const write = Effect.fnUntraced(function*(to: string) {
  const fs = yield* FileSystem.FileSystem
  const { css, html, js } = yield* bundle()
  yield* fs.makeDirectory(to, { recursive: true })
  yield* fs.writeFileString(`${to}/index.html`, html)
  yield* fs.writeFile(`${to}/app.js`, js)
  yield* fs.writeFile(`${to}/app.css`, css)
})
