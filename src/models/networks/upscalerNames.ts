/**
 * Names of the layers of ESRGAN's network. The networks here use Real-ESRGAN's; two older spellings are these.
 */
import type { Weights } from "../graph/Weights.ts"
import { byName } from "./names.ts"

/** The tensors of an upscaler by Real-ESRGAN's names, without the prefix of the weights that training averaged. */
export const upscalerNames = (weights: Weights): Weights => {
  const prefix = ["params_ema.", "params."].find((prefix) => weights.has(prefix.slice(0, -1))) ?? ""
  const w = weights.mapped((name, tensor) => name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [])
  if (w.has("RRDB_trunk")) return w.mapped(byName(betweenName))
  return w.has("model.1.sub") ? w.mapped(byName(oldName(w))) : w
}

const betweenName = (name: string): string =>
  name
    .replace(/^RRDB_trunk\.(\d+)\.RDB(\d)\./, "body.$1.rdb$2.")
    .replace(/^trunk_conv\./, "conv_body.")
    .replace(/^upconv(\d)\./, "conv_up$1.")
    .replace(/^HRconv\./, "conv_hr.")

// The numbers behind the blocks: one for each doubling, then the last two convolutions.
const oldName = (w: Weights): (name: string) => string => {
  const numbers = new Set(w.at("model").names.map((name) => Number.parseInt(name)))
  const behind = [...numbers].filter((number) => number > 1).toSorted((a, b) => a - b)
  const names = new Map([
    [0, "conv_first"],
    ...behind.map((number, i): [number, string] => [
      number,
      i === behind.length - 1 ? "conv_last" : i === behind.length - 2 ? "conv_hr" : `conv_up${i + 1}`
    ])
  ])
  return (name) =>
    name
      .replace(/^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\./, "body.$1.rdb$2.conv$3.")
      .replace(/^model\.1\.sub\.\d+\.(weight|bias)$/, "conv_body.$1")
      .replace(/^model\.(\d+)\.(weight|bias)$/, (whole, number: string, kind: string) => {
        const own = names.get(Number(number))
        return own === undefined ? whole : `${own}.${kind}`
      })
}
