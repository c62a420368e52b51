import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** Tests that build, pack, install or measure: too slow for every run. */
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    include: ["test/slow/**/*.test.ts", "test/studio/studio.test.ts"],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false
  }
})
