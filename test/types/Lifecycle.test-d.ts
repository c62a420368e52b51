import * as Effect from "effect/Effect"
import { describe, expectTypeOf, it } from "vitest"
import * as Lifecycle from "../../src/runner/Lifecycle.ts"

declare const prepare: (request: string) => Effect.Effect<{ readonly words: number }, "no prepare", "desk">
declare const execute: (state: { readonly words: number }) => Effect.Effect<Uint8Array, "no execute", "lamp">
declare const finalize: (
  state: { readonly words: number },
  executed: Uint8Array
) => Effect.Effect<string, "no finalize", "chair">

const stages = Lifecycle.stages({ prepare, execute, finalize })

describe("Lifecycle.stages", () => {
  it("has the unions of the stages' errors and requirements", () => {
    expectTypeOf(stages).toEqualTypeOf<
      Lifecycle.Stages<
        string,
        { readonly words: number },
        Uint8Array,
        string,
        "no prepare" | "no execute" | "no finalize",
        "desk" | "lamp" | "chair"
      >
    >()
  })

  it("needs no annotation after the request", () => {
    const inferred = Lifecycle.stages({
      prepare: (request: string) => Effect.succeed({ words: request.length }),
      execute: (state) =>
        Effect.gen(function*() {
          expectTypeOf(state).toEqualTypeOf<{ words: number }>()
          return state.words % 2 === 0 ? yield* Effect.fail("even" as const) : state.words
        }),
      finalize: (state, executed) => {
        expectTypeOf(state).toEqualTypeOf<{ words: number }>()
        expectTypeOf(executed).toEqualTypeOf<number>()
        return Effect.succeed(String(executed))
      }
    })
    expectTypeOf(inferred).toEqualTypeOf<Lifecycle.Stages<string, { words: number }, number, string, "even">>()
  })

  it("takes no stages that do not fit together", () => {
    type Input = Parameters<
      typeof Lifecycle.stages<string, number, never, never, string, never, never, string, never, never>
    >[0]
    expectTypeOf<{
      prepare: (request: string) => Effect.Effect<number>
      execute: (state: number) => Effect.Effect<string>
      finalize: (state: number, executed: string) => Effect.Effect<string>
    }>().toExtend<Input>()
    expectTypeOf<{
      prepare: (request: string) => Effect.Effect<number>
      execute: (state: boolean) => Effect.Effect<string>
      finalize: (state: number, executed: string) => Effect.Effect<string>
    }>().not.toExtend<Input>()
  })
})

describe("Lifecycle.run", () => {
  it("has the errors of the stages, and the requirements of stages and hooks", () => {
    const hooks: Lifecycle.Hooks<unknown, unknown, unknown, "audit"> = Lifecycle.noop
    expectTypeOf(Lifecycle.run(stages, hooks, "cat")).toEqualTypeOf<
      Effect.Effect<string, "no prepare" | "no execute" | "no finalize", "desk" | "lamp" | "chair" | "audit">
    >()
  })

  it("needs nothing for hooks that need nothing", () => {
    expectTypeOf(Lifecycle.run(stages, Lifecycle.noop, "cat")).toEqualTypeOf<
      Effect.Effect<string, "no prepare" | "no execute" | "no finalize", "desk" | "lamp" | "chair">
    >()
  })
})

describe("Lifecycle.Hooks", () => {
  type Around = Lifecycle.Hooks<number, number, number>["around"]

  it("have no typed error", () => {
    expectTypeOf<(state: number) => Effect.Effect<void, "error">>().not.toExtend<
      Lifecycle.Hooks<number, number, number>["onPrepare"]
    >()
    expectTypeOf<(state: number) => Effect.Effect<void>>().toExtend<
      Lifecycle.Hooks<number, number, number>["onPrepare"]
    >()
  })

  it("of less knowledge serve where more is known", () => {
    expectTypeOf<Lifecycle.Hooks<unknown, unknown, unknown>>().toExtend<Lifecycle.Hooks<number, string, boolean>>()
    expectTypeOf<Lifecycle.Hooks<number, string, boolean>>().not.toExtend<
      Lifecycle.Hooks<unknown, unknown, unknown>
    >()
  })

  it("keep what a stage gives, fails with and needs, when they go around it", () => {
    expectTypeOf<
      (stage: Lifecycle.Stage, effect: Effect.Effect<string, "no", "desk">) => Effect.Effect<string, "no", "desk">
    >()
      .toEqualTypeOf<typeof Lifecycle.noop.around<string, "no", "desk">>()
  })

  it("cannot make up a result, an error or a success around a stage", () => {
    expectTypeOf<<A, E, R>(stage: Lifecycle.Stage, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>>()
      .toExtend<Around>()
    expectTypeOf<<A, E, R>(stage: Lifecycle.Stage, effect: Effect.Effect<A, E, R>) => Effect.Effect<A | 1, E, R>>()
      .not.toExtend<Around>()
    expectTypeOf<<A, E, R>(stage: Lifecycle.Stage, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | "no", R>>()
      .not.toExtend<Around>()
    expectTypeOf<<A, E, R>(stage: Lifecycle.Stage, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | "desk">>()
      .not.toExtend<Around>()
    expectTypeOf<(stage: Lifecycle.Stage, effect: Effect.Effect<string>) => Effect.Effect<string>>()
      .not.toExtend<Around>()
  })
})
