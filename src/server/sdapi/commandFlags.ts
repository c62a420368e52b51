/**
 * `cmd-flags`: the webui's flags with their defaults, or with their values where this server has the flag.
 *
 * Passwords and keys are never shown.
 */
import type { ServerSettings } from "../host/ServerOptions.ts"

const off = [
  "update_all_extensions skip_python_version_check skip_torch_cuda_test reinstall_xformers reinstall_torch test_server",
  "log_startup skip_prepare_environment skip_install dump_sysinfo do_not_download_clip no_half no_half_vae",
  "no_progressbar_hiding allow_code medvram medvram_sdxl lowvram lowram always_batch_cond_uncond unload_gfpgan",
  "upcast_sampling share ngrok_region enable_insecure_extension_access xformers force_enable_xformers xformers_flash_attention",
  "deepdanbooru opt_split_attention opt_sub_quad_attention opt_split_attention_invokeai opt_split_attention_v1",
  "opt_sdp_attention opt_sdp_no_mem_attention disable_opt_split_attention disable_nan_check use_cpu_all no_gradio_queue",
  "disable_model_loading_ram_optimization freeze_settings freeze_settings_in_sections freeze_specific_settings",
  "hide_ui_dir_config autolaunch use_textbox_seed disable_console_progressbars enable_console_prompts",
  "disable_safe_unpickle api_log no_hashing no_download_sd_model add_stop_route pin_memory disable_tls_verify",
  "skip_load_model_at_start unix_filenames_sanitization disable_all_extensions disable_extra_extensions",
  "no_prompt_history precision_full skip_version_check use_ipex opt_channelslast"
].join(" ").split(" ")

const unset = [
  "data_dir models_dir config ckpt ckpt_dir vae_dir gfpgan_dir gfpgan_model codeformer_models_path gfpgan_models_path",
  "esrgan_models_path bsrgan_models_path realesrgan_models_path dat_models_path clip_models_path embeddings_dir",
  "textual_inversion_templates_dir hypernetwork_dir localizations_dir vae_path use_cpu ngrok ngrok_options",
  "sub_quad_q_chunk_size sub_quad_kv_chunk_size sub_quad_chunk_threshold device_id ui_config_file ui_settings_file",
  "gradio_debug gradio_auth gradio_auth_path gradio_img2img_tool gradio_inpaint_tool gradio_allowed_path styles_file",
  "theme server_name subpath filenames_max_length prompt_history_file lora_dir lyco_dir scunet_models_path",
  "swinir_models_path ldsr_models_path tls_keyfile tls_certfile api_auth cors_allow_origins cors_allow_origins_regex",
  "timeout_keep_alive"
].join(" ").split(" ")

/** Every flag with its value. */
export const commandFlags = (server: ServerSettings): Readonly<Record<string, unknown>> => ({
  ...Object.fromEntries(off.map((name) => [name, false])),
  ...Object.fromEntries(unset.map((name) => [name, null])),
  precision: "autocast",
  max_batch_count: 16,
  loglevel: null,
  api: true,
  nowebui: true,
  port: server.port,
  listen: server.host === "0.0.0.0" || server.host === "::",
  server_name: server.host,
  api_server_stop: server.api_server_stop,
  cors_allow_origins: server.cors_allow_origins.length === 0 ? null : server.cors_allow_origins.join(","),
  cors_allow_origins_regex: server.cors_allow_origins_regex ?? null,
  timeout_keep_alive: 30
})
