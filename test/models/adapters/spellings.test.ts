import { assert, describe, it } from "@effect/vitest"
import { plain, spellingOf } from "../../../src/models/adapters/spellings.ts"
import { renaming } from "../../../src/models/networks/names.ts"
import { unetTable } from "../../../src/models/networks/unetNames.ts"
import { contents } from "../checkpoint/data.ts"

describe("names in adapter files", () => {
  const attention = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
  it.each<[name: string, network: string, layer: string, role: string]>([
    ["lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight", "unet", "down_blocks_0_resnets_0_conv1", "down"],
    ["lora_unet_input_blocks_1_0_in_layers_2.lora_mid.weight", "unet", "input_blocks_1_0_in_layers_2", "middle"],
    ["oft_unet_conv_in.oft_blocks", "unet", "conv_in", "blocks"],
    [`unet.${attention}.to_q.lora_A.weight`, "unet", `${attention}.to_q`, "down"],
    [`unet.${attention}.to_q.lora_B.default.weight`, "unet", `${attention}.to_q`, "up"],
    [`unet.${attention}.to_q.lora_B.bias`, "unet", `${attention}.to_q`, "upBias"],
    [`unet.${attention}.to_q.lora_B.default.bias`, "unet", `${attention}.to_q`, "upBias"],
    [`unet.${attention}.to_q.lora_magnitude_vector`, "unet", `${attention}.to_q`, "magnitude"],
    [`base_model.model.${attention}.to_out.0.lora_A.weight`, "unet", `${attention}.to_out.0`, "down"],
    [`unet.${attention}.to_q.lora.up.weight`, "unet", `${attention}.to_q`, "up"],
    [`unet.${attention}.processor.to_out_lora.down.weight`, "unet", `${attention}.to_out.0`, "down"],
    [`${attention}.processor.to_k_lora.up.weight`, "unet", `${attention}.to_k`, "up"],
    ["diffusion_model.out.2.diff_b", "unet", "out.2", "diffBias"],
    [
      "lora_te_text_model_encoder_layers_1_mlp_fc1.alpha",
      "text_encoder",
      "text_model_encoder_layers_1_mlp_fc1",
      "alpha"
    ],
    [
      "lora_te1_text_model_encoder_layers_1_mlp_fc1.lokr_w2_a",
      "text_encoder",
      "text_model_encoder_layers_1_mlp_fc1",
      "lokr_w2_a"
    ],
    ["lora_te2_text_projection.hada_w1_a", "text_encoder_2", "text_projection", "hada_w1_a"],
    [
      "text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.up.weight",
      "text_encoder",
      "text_model.encoder.layers.0.self_attn.out_proj",
      "up"
    ],
    [
      "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight",
      "text_encoder",
      "text_model.encoder.layers.0.self_attn.q_proj",
      "down"
    ],
    ["lora_unet_mid_block_attentions_0_proj_in.a1.weight", "unet", "mid_block_attentions_0_proj_in", "glora_a1"],
    ["lora_unet_conv_norm_out.w_norm", "unet", "conv_norm_out", "diff"]
  ])("%s", (name, network, layer, role) => {
    const found = spellingOf(name)
    assert.deepStrictEqual([found?.network, found?.layer, found?.role], [network, layer, role])
  })

  it.each(["double_blocks.0.img_attn.qkv.lora_A.weight", "lora_unet_conv_in", "epoch"])("not %s", (name) => {
    assert.isUndefined(spellingOf(name))
  })

  it.each(["sd15", "sdxl-base"])("lead to each layer of %s by both of kohya's spellings", (file) => {
    const rows: ReadonlyArray<readonly [own: string, other: string, diffusers: string, original: string]> = JSON.parse(
      Buffer.from(contents(`real-layouts/${file}.unet-names.json`)).toString()
    )
    const level = (blocks: number, attends: boolean, resamples: boolean) => ({ blocks, attends, resamples })
    const levels = file === "sd15"
      ? {
        down: [level(2, true, true), level(2, true, true), level(2, true, true), level(2, false, false)],
        up: [level(3, false, true), level(3, true, true), level(3, true, true), level(3, true, false)]
      }
      : {
        down: [level(2, false, true), level(2, true, true), level(2, true, false)],
        up: [level(3, true, true), level(3, true, true), level(3, false, false)]
      }
    const diffusers = renaming(unetTable(levels))
    const found = new Map(rows.flatMap(([own]) => [[plain(own), own], [plain(diffusers(own)), own]]))
    for (const [own, , ...spellings] of rows) {
      for (const spelling of spellings) {
        assert.strictEqual(found.get(plain(spellingOf(`${spelling}.alpha`)?.layer ?? "")), own)
      }
    }
    assert.isAbove(rows.length, 390)
  })
})
