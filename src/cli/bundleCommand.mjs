/**
 * Writes the `serena` command for a published package, with all that it imports in few files, as the start of a process
 * is mostly the loading of modules: `node src/cli/bundleCommand.mjs dist/command`. Programs import the modules that `tsc`
 * has written, which share Effect with them.
 */
import { build } from "esbuild"
import { globSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"

const outdir = process.argv[2] ?? "dist/command"
const src = resolve(import.meta.dirname, "..")

// A module that says where it is is a file of its own, at the same place below `outdir` as below `src`: threads import it.
const entryPoints = globSync("**/*.ts", { cwd: src, exclude: ["studio/**"] })
  .map((path) => join(src, path))
  .filter((path) =>
    path.endsWith("/cli/main.ts") || path.endsWith("Thread.ts") ||
    readFileSync(path, "utf8").includes("import.meta.url")
  )

const end = `/${outdir}/`
const place = `import.meta.url.slice(0, import.meta.url.lastIndexOf(${JSON.stringify(end)}) + ${end.length})`

// Its code may end up in a file that several share, so where it is follows from where `outdir` is.
const places = {
  name: "places",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (!entryPoints.includes(path)) return undefined
      const file = JSON.stringify(relative(src, path).replace(/\.ts$/, ".js"))
      return {
        loader: "ts",
        contents: readFileSync(path, "utf8").replaceAll("import.meta.url", `(${place} + ${file})`)
      }
    })
}

// Packages in CommonJS ask for modules of Node, and for optional packages, which are not there.
const requires = "const require = (id) => {const found = process.getBuiltinModule(id);if (found === undefined) " +
  "throw Object.assign(new Error(`there is no module ${id}`), { code: \"MODULE_NOT_FOUND\" });return found};"

const { metafile } = await build({
  entryPoints,
  outdir,
  outbase: src,
  chunkNames: "chunks/[name]-[hash]",
  plugins: [places],
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node22.19",
  // Names stay, as threads find functions by them.
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  // Native modules find their files by their own place; esbuild bundles the studio from sources only.
  external: ["onnxruntime-node", "sharp", "esbuild", "pg-native"],
  banner: { js: requires },
  legalComments: "none",
  logLevel: "warning"
})

const packages = new Set(
  Object.keys(metafile.inputs).flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? [])
)
const notices = [...packages].sort().map((folder) => {
  const { license, name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  const texts = readdirSync(folder).filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file))
  return [`${name} ${version} (${license})`, ...texts.map((file) => readFileSync(join(folder, file), "utf8").trim())]
    .join("\n\n")
})
writeFileSync(join(outdir, "THIRD-PARTY.txt"), `${notices.join(`\n\n${"-".repeat(80)}\n\n`)}\n`)
