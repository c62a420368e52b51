// isolated.mts
import { Console, Effect } from "effect"
import { type HookSet, processImages, RunnerHooks, Serena, Txt2Img } from "serena-runtime"

const broken: HookSet = { onExecute: () => Effect.die(new Error("a bug in a hook")) }
const observing: HookSet = { onFinalize: (_, { images }) => Console.log(`images: ${images.length}`) }

const hooks = RunnerHooks.layer(RunnerHooks.isolated(broken), observing)
const program = processImages(Txt2Img.make({ prompt: "a heart", steps: 1 }))
await Effect.runPromise(Effect.provide(program, Serena.layer({ hooks })))
