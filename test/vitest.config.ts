import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { slow } from "./vitest.slow.config.ts"

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    // Tests that load onnxruntime themselves: it sends telemetry otherwise.
    env: { ORT_DISABLE_TELEMETRY: process.env["ORT_DISABLE_TELEMETRY"] ?? "1" },
    include: ["test/**/*.test.ts"],
    exclude: ["test/slow/**", ...slow, "node_modules/**"],
    testTimeout: 30_000,
    maxWorkers: 2,
    typecheck: { enabled: true, checker: "tsc", ignoreSourceErrors: true },
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
