/**
 * What the runner costs: `ProcessingRunner.run` under no-op hooks beside the same three stages in one bare
 * `Effect.gen`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { measure } from "mitata"
import type { RunPlan } from "../../src/planning/RunPlan.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { noop } from "../../src/runner/Lifecycle.ts"
import { Pipeline } from "../../src/runner/Pipeline.ts"
import type { Processed } from "../../src/runner/Processed.ts"
import * as ProcessingRunner from "../../src/runner/ProcessingRunner.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import * as TestContext from "../../src/testing/TestContext.ts"
import { compared, figure, type Row } from "./report.ts"

const request = { processing: Txt2Img.make({ prompt: "a red circle" }), runId: "bench" }
const state: RunPlan = {
  ...request,
  width: 128,
  height: 128,
  sampler: { name: "Euler" },
  scheduler: { label: "Automatic" },
  steps: 20,
  prompt: "a red circle",
  negativePrompt: "",
  levels: undefined,
  adapters: [],
  hires: undefined,
  controls: [],
  refiner: undefined,
  source: undefined,
  seamless: false,
  clipSkip: 1,
  model: { name: "test-model", hash: undefined, isInpainting: false, isEditing: false },
  embeddings: [],
  hashes: { adapters: [], embeddings: [] },
  startedAt: 0,
  batches: [],
  warnings: []
}
const processed: Processed = { images: [], extraImages: [], interrupted: false, warnings: [], state }

const pipeline = Pipeline.of({
  prepare: () => Effect.succeed(state),
  execute: () => Effect.succeed(processed),
  finalize: () => Effect.succeed(processed)
})

const bare = Effect.gen(function*() {
  const state = yield* pipeline.prepare(request)
  const executed = yield* pipeline.execute(state)
  return yield* pipeline.finalize(state, executed)
})

/** Both are timed in this process, in turn. */
export const runnerOverhead = async (): Promise<ReadonlyArray<Row>> => {
  const context = Context.make(Pipeline, pipeline).pipe(
    Context.add(RunnerHooks, RunnerHooks.of(noop)),
    Context.add(RuntimeContext, Effect.runSync(TestContext.make()))
  )
  const runSync = Effect.runSyncWith(context)
  const rounds: Array<{ readonly bare: number; readonly runner: number }> = []
  for (let round = 0; round < 5; round++) {
    const { p50: bareNs } = await measure(() => runSync(bare), { min_cpu_time: 2e8 })
    const { p50: runnerNs } = await measure(() => runSync(ProcessingRunner.run(request)), { min_cpu_time: 2e8 })
    rounds.push({ bare: bareNs / 1000, runner: runnerNs / 1000 })
  }
  const [own, base] = [rounds.map(({ runner }) => runner), rounds.map(({ bare }) => bare)]
  return [
    compared("`ProcessingRunner.run` with no-op hooks", "us", own, "the same stages in one `Effect.gen`", base),
    figure("added to a run by the runner", "us", rounds.map(({ bare, runner }) => runner - bare), { target: 3 })
  ]
}
