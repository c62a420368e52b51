/**
 * Fields of configurations that do not matter here, so that every other one can be used or refused by name.
 *
 * A field is harmless where the exported network has it in its graph, where it says how another program samples or
 * stores, or where it repeats another file. A field that is in no list may change what numbers mean.
 */

const words = (text: string): ReadonlyArray<string> => text.trim().split(/\s+/)

/** Architecture, of which the exported graph consists, and how a mean of the weights was kept in training. */
const unet = words(`
  act_fn addition_embed_type_num_heads attention_head_dim attention_type block_out_channels center_input_sample
  class_embeddings_concat conv_in_kernel conv_out_kernel cross_attention_norm downsample_padding dropout
  dual_cross_attention flip_sin_to_cos freq_shift layers_per_block mid_block_only_cross_attention mid_block_scale_factor
  mid_block_type norm_eps norm_num_groups num_attention_heads only_cross_attention resnet_out_scale_factor
  resnet_skip_time_act resnet_time_scale_shift reverse_transformer_layers_per_block time_embedding_act_fn
  time_embedding_dim time_embedding_type timestep_post_act transformer_layers_per_block up_block_types upcast_attention
  use_linear_projection
  decay inv_gamma min_decay optimization_step power update_after_step use_ema_warmup
`)

/** Architecture, and `force_upcast`: the number type of an exported network is its own. */
const vae = words(`
  act_fn down_block_types force_upcast layer_norm_eps layers_per_block mid_block_add_attention norm_num_groups
  sample_size up_block_types use_post_quant_conv use_quant_conv
`)

/** How diffusers' own samplers go from step to step. Here the request's sampler and schedule decide. */
const scheduler = words(`
  algorithm_type clip_sample clip_sample_range corrector_order disable_corrector dynamic_thresholding_ratio eta
  euler_at_final final_sigmas_type interpolation_type invert_sigmas lambda_min_clipped lower_order_final
  noise_sampler_seed original_inference_steps predict_x0 predictor_order rho sample_max_value set_alpha_to_one
  skip_prk_steps solver_order solver_p solver_type steps_offset tau_func time_shift_type timestep_scaling
  timestep_spacing
  use_beta_sigmas use_exponential_sigmas use_karras_sigmas use_lu_lambdas
`)

/**
 * Architecture and training, the ids of special tokens, which are the tokenizer's, and what transformers notes; then
 * the defaults of generated text, which older versions of transformers write for every kind of model.
 */
const textEncoder = words(`
  architectures attention_dropout bos_token_id dropout dtype eos_token_id export_model_type gradient_checkpointing
  initializer_factor initializer_range intermediate_size logit_scale_init_value num_attention_heads output_attentions
  output_hidden_states pad_token_id return_dict tie_word_embeddings torch_dtype torchscript transformers_version
  use_bfloat16 use_cache vocab_size
  add_cross_attention bad_words_ids begin_suppress_tokens chunk_size_feed_forward cross_attention_hidden_size
  decoder_start_token_id diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size
  exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id id2label is_decoder
  is_encoder_decoder label2id length_penalty max_length min_length no_repeat_ngram_size num_beam_groups num_beams
  num_return_sequences output_scores prefix problem_type pruned_heads remove_invalid_values repetition_penalty
  sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder tokenizer_class top_k
  top_p typical_p
`)

/**
 * CLIP's text is always lower case, its chunks have the length of the encoder's positions, and added tokens are read by
 * the tokenizer's library. Others say how transformers batches, pads and decodes.
 */
const tokenizer = words(`
  add_bos_token add_eos_token add_prefix_space added_tokens_decoder additional_special_tokens backend chat_template
  clean_up_tokenization_spaces cls_token do_lower_case errors extra_special_tokens from_slow is_local mask_token
  max_length model_input_names model_max_length name_or_path pad_to_multiple_of pad_token_type_id padding padding_side
  processor_class return_token_type_ids sep_token special_tokens_map_file split_special_tokens stride tokenizer_file
  truncation truncation_side truncation_strategy trim_offsets unk_token use_default_system_prompt use_fast
`)

/**
 * Components whose files are read by themselves, those that do not act on text to image, and what the request decides.
 * `force_zeros_for_empty_prompt` and `requires_aesthetics_score` are what the family does in stable-diffusion-webui.
 */
const index = words(`
  add_watermarker feature_extractor force_zeros_for_empty_prompt image_encoder requires_aesthetics_score
  requires_safety_checker safety_checker tokenizer tokenizer_2 unet vae vae_decoder vae_encoder watermark
`)

/** What a pipeline of text to image does not need, by the configuration it is in. */
export const harmless = { index, scheduler, textEncoder, tokenizer, unet, vae }

/** Whether a value leaves a field out. */
const isEmpty = (value: unknown): boolean =>
  value === null || value === false || value === "" ||
  (Array.isArray(value) ? value.every(isEmpty) : typeof value === "object" && Object.keys(value).length === 0)

/** The fields of a configuration that are not known, without those that say nothing and those for notes (`_...`). */
export const unknownFields = (value: object, known: ReadonlySet<string>): ReadonlyArray<string> =>
  Object.entries(value).flatMap(([name, value]) =>
    known.has(name) || name.startsWith("_") || isEmpty(value) ? [] : [name]
  )
