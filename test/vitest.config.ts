import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config"

/**
 * A test's file name says what the test may use:
 *
 * - `X.test.ts` (project `unit`): no native modules, threads or processes. Types, `X.test-d.ts`, are checked here.
 * - `X.engine.test.ts` (project `engine`): native modules as well, in this process.
 * - `X.slow.engine.test.ts` (project `slow-engine`): the same, for those that take longest.
 * - `X.process.test.ts` and all of `test/slow` (project `process`): processes, browsers, installed packages.
 * - `X.measured.test.ts` (project `measured`): processes whose time or memory is measured, one after the other.
 *
 * `npm test` runs unit and engine, `npm run test:slow` runs the others. `noNativeModules.ts` and `noProcesses.ts` make
 * a test fail that uses more than its name allows.
 */
const project = (
  name: string,
  test: NonNullable<TestProjectInlineConfiguration["test"]>
): TestProjectInlineConfiguration => ({ extends: true, test: { name, ...test } })

const engine = "test/**/*.engine.test.ts"
const slowEngine = "test/**/*.slow.engine.test.ts"
const process_ = "test/**/*.process.test.ts"
const measured = "test/**/*.measured.test.ts"
const slow = "test/slow/**"

/** Tests of the engine in this process. */
const inProcess: NonNullable<TestProjectInlineConfiguration["test"]> = {
  setupFiles: ["test/noProcesses.ts"],
  isolate: false
}

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    env: {
      // Tests that load onnxruntime themselves: it sends telemetry otherwise.
      ORT_DISABLE_TELEMETRY: process.env["ORT_DISABLE_TELEMETRY"] ?? "1",
      // A server that a test starts and gives no data folder keeps nothing among the user's data.
      SERENA_DATA_DIR: join(tmpdir(), "serena-tests"),
      // What one process of the command has compiled, the next need not.
      NODE_COMPILE_CACHE: fileURLToPath(new URL("../node_modules/.cache/serena-tests", import.meta.url))
    },
    // They end what hangs. On a busy machine, all else takes as long as it takes.
    testTimeout: 1_200_000,
    hookTimeout: 1_200_000,
    teardownTimeout: 300_000,
    maxWorkers: 2,
    projects: [
      project("unit", {
        include: ["test/**/*.test.ts"],
        exclude: [engine, process_, measured, slow],
        setupFiles: ["test/noProcesses.ts", "test/noNativeModules.ts"],
        // Files share modules, most of which are Effect's and take longer to load than the tests to run.
        isolate: false,
        typecheck: { enabled: true, checker: "tsc", ignoreSourceErrors: true }
      }),
      project("engine", { ...inProcess, include: [engine], exclude: [slowEngine] }),
      project("slow-engine", { ...inProcess, include: [slowEngine] }),
      // Processes that the tests start use every processor, but often wait: for a lease, a browser, or each other.
      project("process", {
        maxWorkers: 3,
        include: [process_, `${slow}/*.test.ts`],
        exclude: [measured],
        sequence: { groupOrder: 1 }
      }),
      project("measured", { include: [measured], maxWorkers: 1, sequence: { groupOrder: 2 } })
    ],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      // Runs in a browser only, see test/studio.
      exclude: ["src/studio/**"],
      reporter: ["text-summary", "json-summary"],
      thresholds: {
        lines: 80,
        "src/runner/**": { lines: 90 },
        "src/processing/**": { lines: 90 }
      }
    }
  }
})
