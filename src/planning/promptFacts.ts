/**
 * What a request's prompts take from files: the styles that it names, and the wildcards of its dynamic prompts.
 */
import * as Effect from "effect/Effect"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Processing } from "../processing/Processing.ts"
import { StyleBook } from "../processing/StyleBook.ts"
import { WildcardBook } from "../processing/WildcardBook.ts"
import { type StyleFacts, wildcardsNamed } from "./prompts.ts"

const noStyles: StyleFacts = { styles: [], problems: [] }

/** The styles that a request names. Their file is read only where it names some. */
export const stylesFor = Effect.fnUntraced(
  function*({ styles }: Processing): Effect.fn.Return<StyleFacts, never, StyleBook> {
    if (styles.length === 0) return noStyles
    const known = yield* (yield* StyleBook).read
    const named = Array.from(new Set(styles), (name) => known.byName.get(name))
    return { styles: named.filter((style) => style !== undefined), problems: known.problems }
  }
)

/** The wildcards that the prompts name, where they are dynamic; undefined where they are not. */
export const wildcardsFor = Effect.fnUntraced(
  function*(processing: Processing, styles: StyleFacts, opts: OptionsSnapshot) {
    if (!(processing.dynamic_prompts ?? opts.dynamic_prompts)) return undefined
    const { read } = yield* WildcardBook
    return yield* read(wildcardsNamed(processing, styles, opts))
  }
)
