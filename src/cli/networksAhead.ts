/**
 * The networks that a command is going to open, as far as its arguments say so: they open while it loads.
 *
 * Only those of the embedded model, which is used where no other is named or found. What is said here of a command may
 * be wrong: then networks are opened for nothing, and closed.
 */
import { existsSync } from "node:fs"
import { homedir } from "node:os"
import * as path from "node:path"
import { packageFile } from "../core/packageFile.ts"
import { usualDataDir } from "./usualDataDir.ts"

/** Flags after which other networks are opened, or the same ones in another way. */
const others = new Set([
  "--data-dir",
  "--device",
  "--from",
  "--lowvram",
  "--model",
  "--models-dir",
  "--precision",
  "--set",
  "--threads",
  "--tiling"
])

const variables = ["SERENA_DATA_DIR", "SERENA_MODELS_DIR"]

const hasModelsFolder = (): boolean => {
  const own = path.resolve("models")
  if (own !== packageFile("models") && existsSync(own)) return true
  try {
    const data = usualDataDir({ os: process.platform, env: process.env, home: homedir() }, path)
    return existsSync(path.join(data, "models"))
  } catch {
    return false
  }
}

/** Files of networks in the order of their use; none where it is not known which. */
export const networksAhead = (args: ReadonlyArray<string>): ReadonlyArray<string> =>
  args.some((arg) => others.has(arg.split("=")[0] ?? "")) || variables.some((name) => process.env[name]) ||
    hasModelsFolder()
    ? []
    : ["text_encoder", "unet", "vae_decoder"].map((part) => packageFile("models", "shapes-128", part, "model.onnx"))
