/** Texts as text encoders read them: 77 ids. */
import * as Effect from "effect/Effect"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import type { Vocabulary } from "../../src/prompt/Chunks.ts"

/** A text between start and end, filled up with padding. */
export const framed = Effect.fnUntraced(function*({ encode, end, padding, start }: Vocabulary, text: string) {
  const [words = []] = yield* encode([text])
  const ids = [start, ...Array.from(words), end]
  return [...ids, ...Array.from({ length: 77 - ids.length }, () => padding)]
})

/** The ids of one text as each of a model's text encoders reads them. */
export const idsFor = Effect.fnUntraced(function*(model: LoadedModel, text = "a red circle, small") {
  return yield* Effect.forEach(
    model.textEncoders,
    ({ vocabulary }) => Effect.flatMap(vocabulary, (vocabulary) => framed(vocabulary, text))
  )
})
