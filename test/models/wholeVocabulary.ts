/**
 * A models folder whose checkpoints have CLIP's whole vocabulary, with LoRAs and embeddings for them: all that a prompt
 * may name.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import { readValues } from "../../src/models/checkpoint/values.ts"
import { unpack } from "./checkpoint/data.ts"
import { madeControlNet } from "./checkpoint/madeControlNet.ts"
import { safetensors, type Written } from "./checkpoint/safetensorsFile.ts"
import { op, pickle, tensor, zip } from "./checkpoint/torchFile.ts"

/** Ids of CLIP's vocabulary. */
const ids = { cat: 2368, red: 736, black: 1449 }

const wave = (count: number, step: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, i) => Math.sin(i * step + 1))

/** The two halves of a module's change, of rank 2. */
const changing = (module: string, out: number, into: number, step: number): Readonly<Record<string, Written>> => ({
  [`${module}.lora_down.weight`]: { shape: [2, into], values: wave(2 * into, step) },
  [`${module}.lora_up.weight`]: { shape: [out, 2], values: wave(out * 2, step / 2) }
})

const attention = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
const query = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"

/**
 * The folder. Checkpoints: `sd1-full-vocabulary`, and `other` with other weights. LoRAs: `style`, whose own name is
 * "Fine Style", of the denoising network and the text encoder; `shape` of the denoising network. Embeddings: `my-Cat`,
 * `two words` and `sootblack`, whose vectors are words' own; `wide`, which does not fit. ControlNet: `edges`.
 */
export class ModelsDir extends Context.Service<ModelsDir, string>()("test/ModelsDir") {
  static readonly layer = Layer.effect(
    ModelsDir,
    Effect.gen(function*() {
      const folder = yield* unpack("checkpoints/sd1-full-vocabulary.safetensors")
      const write = (place: string, bytes: Uint8Array) => writeFileSync(join(folder, place), bytes)
      mkdirSync(join(folder, "embeddings"))
      mkdirSync(join(folder, "Lora"))
      const file = join(folder, "checkpoints/sd1-full-vocabulary.safetensors")
      const source = yield* openSafetensors(file)
      const { tensors } = source
      write("edges.safetensors", madeControlNet(source))
      const table = tensors.get("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight")
      const first = tensors.get("model.diffusion_model.input_blocks.0.0.weight")
      if (table === undefined || first === undefined) return yield* Effect.die("the checkpoint has other names")

      const other = readFileSync(file)
      // The signs of the first convolution.
      for (let at = first.offset + 1; at < first.offset + first.length; at += 2) other[at] = (other[at] ?? 0) ^ 0x80
      write("checkpoints/other.safetensors", other)

      write(
        "Lora/style.safetensors",
        safetensors({ ...changing(attention, 16, 8, 0.3), ...changing(query, 8, 8, 0.7) }, {
          ss_output_name: "Fine Style"
        })
      )
      write("Lora/shape.safetensors", safetensors(changing(attention, 16, 8, 0.9)))

      const words = yield* readValues(table)
      const word = (id: number) => words.slice(id * 8, id * 8 + 8)
      write("embeddings/my-Cat.safetensors", safetensors({ "<token>": { shape: [8], values: word(ids.cat) } }))
      write(
        "embeddings/two words.safetensors",
        safetensors({ emb_params: { shape: [2, 8], values: [...word(ids.red), ...word(ids.cat)] } })
      )
      write(
        "embeddings/wide.safetensors",
        safetensors({ emb_params: { shape: [1, 12], values: new Float32Array(12) } })
      )
      const saved = { key: "0", storage: "FloatStorage", bytes: new Uint8Array(word(ids.black).buffer), shape: [1, 8] }
      const param = op.dict(op.text("*"), tensor(saved))
      write(
        "embeddings/sootblack.pt",
        zip({
          "archive/data.pkl": pickle(op.dict(op.text("string_to_param"), param, op.text("name"), op.text("other"))),
          "archive/data/0": saved.bytes
        })
      )
      return folder
    })
  ).pipe(Layer.provide(NodeFileSystem.layer))
}
