/**
 * The layers of a network that adapters may change, with the names that files have for them.
 */
import type { Weights } from "../graph/Weights.ts"
import { renaming } from "./names.ts"
import { textNames } from "./textNames.ts"
import { unetLevels, unetNames, unetTable } from "./unetNames.ts"

export interface NamedLayer {
  /** Its name in the network that is built here. */
  readonly layer: string
  /** The original name and diffusers' one. */
  readonly names: ReadonlyArray<string>
  /** Shape of its weight, outputs first. */
  readonly shape: ReadonlyArray<number>
}

/** Layers of a UNet, in either layout. */
export const unetLayers = (weights: Weights): ReadonlyArray<NamedLayer> => {
  const w = unetNames(weights)
  const diffusers = renaming(unetTable(unetLevels(w)))
  return layersOf(w, (layer) => [layer, diffusers(layer)])
}

/** Layers of a CLIP text encoder, by transformers' names: adapters for OpenCLIP's encoders have these too. */
export const textLayers = (weights: Weights): ReadonlyArray<NamedLayer> => {
  const w = textNames(weights)
  const projection = w.shape("text_projection")
  return [
    ...layersOf(w, (layer) => [layer]).filter(({ layer }) => !layer.startsWith("embeddings.")),
    ...(projection === undefined ? [] : [{
      layer: "text_projection",
      names: ["text_projection"],
      shape: projection.toReversed()
    }])
  ]
}

const layersOf = (w: Weights, names: (layer: string) => ReadonlyArray<string>): ReadonlyArray<NamedLayer> =>
  w.names.flatMap((name) => {
    const shape = w.shape(name)
    if (!name.endsWith(".weight") || shape === undefined) return []
    const layer = name.slice(0, -".weight".length)
    return [{ layer, names: names(layer), shape }]
  })
