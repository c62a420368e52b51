/**
 * Parsers that pause, run to their end at once.
 */
import { atOnce } from "../../src/core/Work.ts"
import * as Attention from "../../src/prompt/Attention.ts"
import * as Chunks from "../../src/prompt/Chunks.ts"
import * as Styles from "../../src/prompt/Styles.ts"

export const parse = (...args: Parameters<typeof Attention.parsing>) => atOnce(Attention.parsing(...args))

export const merge = (...args: Parameters<typeof Attention.merging>) => atOnce(Attention.merging(...args))

export const parseStyles = (csv: string) => {
  const { problems, styles } = atOnce(Styles.parsing(csv))
  return { styles: Array.from(styles.values()), problems }
}

export const pack = (...args: Parameters<typeof Chunks.packing>) => atOnce(Chunks.packing(...args))
