import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import { join } from "node:path"
import * as AdapterFile from "../../../src/models/adapters/AdapterFile.ts"
import { type Adapter, fitted, strengthOf } from "../../../src/models/adapters/fitted.ts"
import type { NetworkName } from "../../../src/models/adapters/spellings.ts"
import { contentsOf } from "../../../src/models/checkpoint/contents.ts"
import type { Graph } from "../../../src/models/graph/Graph.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { clipText } from "../../../src/models/networks/clipText.ts"
import { textLayers, unetLayers } from "../../../src/models/networks/layerNames.ts"
import { unet } from "../../../src/models/networks/unet.ts"
import { unpack } from "../checkpoint/data.ts"
import { layerModels } from "../fixtures.ts"
import { entries, type Entry, excesses, given, opened, opening, shapeOf } from "../networks/references.ts"

/** The folder where the references are unpacked. */
class References extends Context.Service<References, string>()("test/References") {
  static readonly layer = Layer.effect(References, unpack("{checkpoints,adapters}/*.safetensors"))
}

/** A checkpoint's networks that adapters change, by name. */
const networksOf = Effect.fnUntraced(function*(base: string) {
  const source = yield* opened(yield* References, base)
  const { parts } = contentsOf(source.tensors)
  const texts = parts.filter(({ network }) => network === "clip" || network === "open-clip")
    .toSorted((a, b) => Number(a.network === "open-clip") - Number(b.network === "open-clip"))
  const prefix = parts.find(({ network }) => network === "unet")?.prefix ?? ""
  const names = ["text_encoder", "text_encoder_2"] as const
  return new Map<NetworkName, { readonly weights: Weights; readonly prefix: string }>([
    ["unet", { prefix, weights: Weights.of(source, prefix) }],
    ...texts.map(({ prefix }, place) =>
      [names[place] ?? "text_encoder_2", {
        prefix,
        weights: Weights.of(source, prefix.replace(/text_model\.$/, ""))
      }] as const
    )
  ])
})

/** Files over a checkpoint: what they change in its networks. */
const changesOf = Effect.fnUntraced(function*(base: string, files: ReadonlyArray<string>) {
  const networks = yield* networksOf(base)
  const folder = yield* References
  const adapters = yield* Effect.forEach(
    files,
    (file) =>
      Effect.map(AdapterFile.open(join(folder, file)), (opened): Adapter => ({ name: file, opened, ranks: undefined }))
  )
  const layers = new Map(
    [...networks].map(([name, { weights }]) =>
      [name, name === "unet" ? unetLayers(weights) : textLayers(weights)] as const
    )
  )
  const { changes, warnings } = fitted(adapters, layers)
  assert.deepStrictEqual(warnings, [])
  // The others are as without adapters.
  return [...changes].flatMap(([name, own]) => {
    const weights = networks.get(name)?.weights.changed(own)
    return weights === undefined ? [] : [{ name, weights }]
  })
})

const single = (value: number) => ({ dims: [], values: [value] })

/** Strengths of a network's graph, of those that are given. */
const strengthsOf = (graph: Graph, multipliers: ReadonlyArray<number>) =>
  Object.fromEntries(
    multipliers.flatMap((value, place) =>
      graph.model().graph.inputs.some(({ name }) => name === strengthOf(place))
        ? [[strengthOf(place), single(value)]]
        : []
    )
  )

const caseNames = { unet: "unet", text_encoder: "text", text_encoder_2: "text2" }

layer(References.layer.pipe(Layer.provideMerge(layerModels())))("adapters compute what PyTorch computed", (it) => {
  const check = Effect.fnUntraced(function*(
    { base = "", cases: file, inputs = "", tolerances = {} }: Entry,
    files: ReadonlyArray<string>,
    runs: ReadonlyArray<{ readonly prefix: string; readonly multipliers: ReadonlyArray<number> }>
  ) {
    const folder = yield* References
    const [cases, from] = [yield* opened(folder, file), yield* opened(folder, inputs)]
    for (const { name, weights } of yield* changesOf(base, files)) {
      const short = caseNames[name]
      const graph = name === "unet" ? unet(weights) : clipText(weights)
      const layers = graph.model().graph.outputs.filter((output) => output.name.startsWith("hidden_states")).length - 1
      const run = yield* opening(graph)
      const own = name === "unet"
        ? {
          sample: given(from, "unet-981/in/x"),
          timestep: given(from, "unet-981/in/t"),
          encoder_hidden_states: given(from, "unet-981/in/context"),
          ...(from.tensors.has("unet-981/in/y") && { y: given(from, "unet-981/in/y") })
        }
        : { input_ids: firstRow(given(from, `${short}/in/ids`)) }
      const outputOf = (output: string) =>
        ({
          "": "out_sample",
          last: "last_hidden_state",
          pooled: "pooled",
          penultimate: `hidden_states.${layers - 1}`
        })[output.slice(short.length + 1)] ?? ""
      for (const { multipliers, prefix } of runs) {
        const wanted = Record.filter(
          tolerances,
          (_, key) =>
            key.startsWith(prefix) && (key.slice(prefix.length) === short || key.startsWith(`${prefix}${short}.`))
        )
        if (Object.keys(wanted).length === 0) continue
        const rows = name === "unet" ? given(from, "unet-981/in/x").dims[0] ?? 1 : 1
        const outputs = Object.fromEntries(
          Object.keys(wanted).map((key) => [outputOf(key.slice(prefix.length)), shapeOf(cases, key).with(0, rows)])
        )
        const found = yield* run({ ...own, ...strengthsOf(graph, multipliers) }, outputs)
        assert.deepStrictEqual(
          excesses(cases, "", wanted, (key) => found(outputOf(key.slice(prefix.length)))),
          []
        )
      }
    }
  }, Effect.scoped)

  it.effect.each(entries.filter(({ kind }) => kind === "adapter"))(
    "$id",
    (entry) =>
      check(
        entry,
        [entry.file ?? ""],
        (entry.multipliers ?? []).map((value) => ({
          prefix: `m=${Number.isInteger(value) ? value.toFixed(1) : value}/`,
          multipliers: [value]
        }))
      )
  )

  it.effect.each(entries.filter(({ kind }) => kind === "adapters-together"))(
    "$id",
    (entry) =>
      check(entry, (entry.adapters ?? []).map(({ file }) => file), [{
        prefix: "",
        multipliers: (entry.adapters ?? []).map(({ multiplier }) => multiplier)
      }])
  )
})

const firstRow = ({ dims, values }: ReturnType<typeof given>) => ({
  dims: dims.with(0, 1),
  values: Array.from(values).slice(0, dims[1] ?? 0)
})
