/**
 * Parsers that pause, run to their end at once.
 */
import { atOnce } from "../../src/core/Work.ts"
import * as Attention from "../../src/prompt/Attention.ts"
import * as Chunks from "../../src/prompt/Chunks.ts"

export const parse = (...args: Parameters<typeof Attention.parsing>) => atOnce(Attention.parsing(...args))

export const merge = (...args: Parameters<typeof Attention.merging>) => atOnce(Attention.merging(...args))

export const pack = (...args: Parameters<typeof Chunks.packing>) => atOnce(Chunks.packing(...args))
