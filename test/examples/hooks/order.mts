// order.mts
import { Console, Effect } from "effect"
import { type HookSet, processImages, RunnerHooks, Serena, Txt2Img } from "serena-runtime"

const named = (name: string): HookSet => ({
  onPrepare: () => Console.log(`${name}: prepared`),
  around: (stage, effect) =>
    stage !== "execute"
      ? effect
      : Effect.ensuring(Effect.andThen(Console.log(`${name}: starts`), effect), Console.log(`${name}: ends`))
})

const hooks = RunnerHooks.layer(named("first"), named("second"))
const program = processImages(Txt2Img.make({ prompt: "a heart", steps: 1 }))
await Effect.runPromise(Effect.provide(program, Serena.layer({ hooks })))
