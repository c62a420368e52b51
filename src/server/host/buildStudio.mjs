/**
 * Writes the studio for a published package: `node src/server/host/buildStudio.mjs dist/studio`.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as StudioBundle from "./StudioBundle.ts"

NodeRuntime.runMain(Effect.provide(StudioBundle.write(process.argv[2] ?? "dist/studio"), NodeFileSystem.layer))
