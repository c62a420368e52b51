import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { project } from "./pages.ts"

// npm runs a dependency's install scripts on `npm ci` only if the lock file says that it has some. The script of
// onnxruntime-node downloads CUDA libraries; npm 10 knows no `allowScripts`. Updating the package can restore the
// entry.
it("the lock file keeps npm from running the install script of onnxruntime-node", () => {
  const { packages } = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8"))
  assert.isDefined(packages["node_modules/onnxruntime-node"].version)
  assert.notProperty(packages["node_modules/onnxruntime-node"], "hasInstallScript")
})
