/**
 * What every network does once its layers are there.
 */
import type { Graph } from "../graph/Graph.ts"
import { UnfitNetwork } from "../graph/UnfitNetwork.ts"
import type { Weights } from "../graph/Weights.ts"

/**
 * The graph that `build` makes of a network's weights. What is thrown on the way names the file, and the kinds of
 * network that come near. Tensors that belong to the network and that no layer reads are refused: the network would not
 * be the one that was trained.
 */
export const built = (
  weights: Weights,
  build: () => { readonly graph: Graph; readonly unread: ReadonlyArray<string> },
  near: () => ReadonlyArray<string> = () => []
): Graph => {
  try {
    const { graph, unread } = build()
    const first = unread.find((name) => !ignored.test(name))
    if (first !== undefined) throw weights.unfit(first, "has no place in the network")
    return graph
  } catch (error) {
    if (!(error instanceof UnfitNetwork)) throw error
    const { reason, tensor } = error
    throw new UnfitNetwork({ file: weights.file, tensor, reason, near: near() })
  }
}

/** Tensors that lie among a network's weights and that no arithmetic on float numbers needs. */
const ignored = /(?:^|\.)(?:scale_input|input_scale|position_ids|scaled_fp8|comfy_quant|num_batches_tracked)$/
