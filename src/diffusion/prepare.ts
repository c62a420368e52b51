/**
 * prepare: from a request to its plan, with the images that it starts from made ready.
 *
 * Every problem of a request is found here, before the first network runs. Choices are settled by `planning`;
 * this reads what planning asks for, and does the work on pixels.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { formatOf, ImageEncoder } from "../images/ImageEncoder.ts"
import { Upscalers } from "../images/Upscalers.ts"
import { requireLoaded } from "../model/LoadedModel.ts"
import { drawSeeds } from "../planning/drawSeeds.ts"
import { latentMode } from "../planning/hires.ts"
import { joined, outlineParts } from "../planning/parts.ts"
import { plan } from "../planning/plan.ts"
import { type StyleFacts, wildcardsNamed } from "../planning/prompts.ts"
import { hashedPlan, type RunPlan } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/Options.ts"
import type { Processing } from "../processing/Processing.ts"
import { StyleBook } from "../processing/StyleBook.ts"
import { WildcardBook } from "../processing/WildcardBook.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import { adapted } from "./adapted.ts"
import { actingClipSkip } from "./clipSkip.ts"
import { prepareControls } from "./controls.ts"
import { findNetworks } from "./findNetworks.ts"
import { hashesOf, unhashed } from "./hashes.ts"
import * as output from "./output.ts"
import { preparePixels, readSource } from "./readSource.ts"

/** Plans a request, sees that its images can be saved, and begins to open the networks. */
export const prepare = Effect.fn("prepare")(function*({ processing: asked, runId }: ProcessingRequest<Processing>) {
  const context = yield* RuntimeContext
  const { cmdOpts: { limits }, opts, state } = context
  const model = yield* requireLoaded(context.model)
  const source = asked._tag === "Img2Img" ? yield* readSource(asked, limits) : undefined
  const inputs = {
    runId,
    processing: asked,
    model,
    opts,
    limits,
    source: source?.facts,
    upscalers: yield* upscalersFor(asked),
    styles: yield* stylesFor(asked)
  }
  const lookup = yield* wildcardsFor(asked, inputs.styles, opts)
  const made = state.finished[0]
  // What is drawn depends on the seeds, which are known before all else then.
  const drawing = lookup && { lookup, seeds: yield* drawSeeds(asked, made) }
  const parts = yield* Effect.fromResult(outlineParts(inputs, drawing))
  const { outline: first } = parts[0]
  const { processing } = first
  const pixels = processing._tag === "Img2Img" && source !== undefined
    ? yield* preparePixels({ processing, source, opts, latentScale: model.latents.scale.space, size: first })
    : undefined

  // The parts differ in their prompts alone.
  const controls = yield* prepareControls(first.controls, {
    processing,
    limits,
    model,
    source,
    region: pixels?.mask?.region,
    first,
    second: first.hires
  })

  // A folder that cannot be written is better known now than after all the work.
  yield* output.check(processing, opts)
  const found = yield* Effect.forEach(parts, ({ outline }) => findNetworks(model, outline, limits))
  // What needs a network later waits for it then, and fails if it does not open.
  const encoder = yield* ImageEncoder
  const opening = Effect.flatMap(adapted(model, found[0].first), ({ warm }) => warm)
  yield* forkInRun(
    Effect.ignore(Effect.all([Effect.scoped(opening), encoder.warm(formatOf(opts).format)], { concurrency: 2 }))
  )

  const startedAt = yield* Clock.currentTimeMillis
  const seeds = drawing?.seeds ?? (yield* drawSeeds(processing, made))
  const clipSkip = yield* actingClipSkip(model, opts).pipe(
    // A text encoder that does not open fails the run when it is needed.
    Effect.orElseSucceed(() => first.clipSkip)
  )
  const planned = yield* Effect.forEach(
    Arr.zip(parts, found),
    Effect.fnUntraced(function*([{ batches, outline }, networks]) {
      // Files that were never hashed are read while the run samples.
      const hashes = yield* Effect.cached(hashesOf(model, networks.hashed, opts))
      const outlined = { ...outline, controls, clipSkip, source: outline.source && { ...outline.source, pixels } }
      const facts = { ...seeds, model: unhashed(model), networks, startedAt }
      const part: RunPlan = {
        ...plan(outlined, facts, batches),
        hashed: yield* Effect.cached(Effect.map(hashes, ({ warnings, ...known }) => {
          const whole = plan(outlined, { ...facts, ...known }, batches)
          return { ...whole, warnings: [...whole.warnings, ...warnings] }
        }))
      }
      return part
    })
  )
  yield* forkInRun(Effect.asVoid(hashedParts(planned)))
  const run = joined(planned)
  yield* state.update({
    activity: "preparing",
    passCount: run.batches.length * (run.hires === undefined ? 1 : 2),
    samplingSteps: processing.steps
  })
  return planned.length === 1
    ? run
    : { ...run, hashed: yield* Effect.cached(Effect.map(hashedParts(planned), joined)) }
})

// One after another: they read files.
const hashedParts = (parts: Arr.NonEmptyReadonlyArray<RunPlan>) => Effect.forEach(parts, hashedPlan)

// Both are read only for requests that name some.
const upscalersFor = Effect.fnUntraced(function*(processing: Processing) {
  const isNamed = processing._tag === "Txt2Img" && processing.enable_hr &&
    latentMode(processing.hr_upscaler) === undefined
  return isNamed ? (yield* (yield* Upscalers).list).map(({ name }) => name) : []
})

// The wildcards that the prompts name, where they are dynamic.
const wildcardsFor = Effect.fnUntraced(function*(processing: Processing, styles: StyleFacts, opts: OptionsSnapshot) {
  if (!(processing.dynamic_prompts ?? opts.dynamic_prompts)) return undefined
  const { read } = yield* WildcardBook
  return yield* read(wildcardsNamed(processing, styles, opts))
})

const noStyles: StyleFacts = { styles: [], problems: [] }

const stylesFor = Effect.fnUntraced(function*({ styles }: Processing): Effect.fn.Return<StyleFacts, never, StyleBook> {
  if (styles.length === 0) return noStyles
  const known = yield* (yield* StyleBook).read
  const named = Array.from(new Set(styles), (name) => known.byName.get(name))
  return { styles: named.filter((style) => style !== undefined), problems: known.problems }
})

// Alongside the run, until it ends. A stage may run in a fiber of its own, under hooks that can end it, so a child of
// the stage's fiber would not outlive the stage.
const forkInRun = (effect: Effect.Effect<void>) =>
  Effect.flatMap(
    Effect.serviceOption(Scope.Scope),
    (scope) => Option.isSome(scope) ? Effect.forkIn(effect, scope.value) : Effect.forkChild(effect)
  )
