/**
 * What was decided when the process started and cannot be changed while it runs: folders, device, limits.
 *
 * The command line fills it from flags, a program from `Serena.layer`'s options.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { Limits } from "./Limits.ts"

export class CommandOptions extends Context.Service<CommandOptions, {
  /** Folder that holds model folders, searched before the embedded model. */
  readonly modelsDir: string | undefined
  /** Largest request that is taken. */
  readonly limits: Limits
  /** Where the networks run: onnxruntime's name of the execution provider. */
  readonly device: "cpu" | "cuda" | "dml" | "coreml" | "webgpu"
  /** Threads one network call may use; 0 lets onnxruntime decide. */
  readonly threads: number
  /** Most models that are kept in memory when no run uses them; the one that was used least lately goes first. */
  readonly maxModels: number
  /** Whether only one network at a time is kept in memory, and opened anew for each use: slower, and smaller. */
  readonly lowvram: boolean
  /** File with the styles that requests can name: columns `name`, `prompt` and `negative_prompt`. */
  readonly stylesFile: string
}>()("serena/processing/CommandOptions") {
  static readonly defaults: CommandOptions["Service"] = Object.freeze({
    modelsDir: undefined,
    limits: Object.freeze(Limits.make({})),
    device: "cpu",
    threads: 0,
    maxModels: 2,
    lowvram: false,
    stylesFile: "styles.csv"
  })

  static readonly layer = (options: Partial<CommandOptions["Service"]> = {}): Layer.Layer<CommandOptions> =>
    Layer.succeed(
      CommandOptions,
      Object.freeze({
        ...CommandOptions.defaults,
        ...options,
        limits: Object.freeze({ ...(options.limits ?? CommandOptions.defaults.limits) })
      })
    )
}
