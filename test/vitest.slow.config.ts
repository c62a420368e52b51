import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** Tests that lie beside others of their room, and take too long for every run all the same. */
export const slow = [
  "test/cli/signals.test.ts",
  "test/examples/{api,entrypoints,hooks,making,running,telemetry}.test.ts",
  "test/studio/studio.test.ts"
]

/** Tests that build, pack, install or measure: too slow for every run. */
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    // Tests that load onnxruntime themselves: it sends telemetry otherwise.
    env: { ORT_DISABLE_TELEMETRY: process.env["ORT_DISABLE_TELEMETRY"] ?? "1" },
    include: ["test/slow/**/*.test.ts", ...slow],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false
  }
})
