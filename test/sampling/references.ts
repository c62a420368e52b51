/** The files of `test/goldens` that tests and the conformance page both read. Each is read when it is asked for. */
import * as Schema from "effect/Schema"
import { golden } from "./fixtures.ts"

const Numbers = Schema.Array(Schema.Finite)
const Level = Schema.Union([Schema.Literal("model"), Schema.Finite])

/** Lists of sigmas and timesteps. */
export const schedules = () =>
  golden(
    "schedules",
    Schema.Struct({
      tolerance: Schema.Struct({ rel_vs_sigmas: Schema.Finite, rel_vs_sigmas_f32: Schema.Finite }),
      cases: Schema.Array(Schema.Struct({
        id: Schema.String,
        scheduler: Schema.String,
        n: Schema.Finite,
        sigma_min: Level,
        sigma_max: Level,
        params: Schema.Struct({
          rho: Schema.optionalKey(Schema.Finite),
          alpha: Schema.optionalKey(Schema.Finite),
          beta: Schema.optionalKey(Schema.Finite),
          model: Schema.optionalKey(Schema.Literals(["sd15", "sdxl"])),
          discard_next_to_last: Schema.optionalKey(Schema.Boolean)
        }),
        sigmas: Schema.Array(Schema.Finite),
        sigmas_f32: Schema.Array(Schema.Finite)
      })),
      timesteps: Schema.Struct({
        cases: Schema.Array(Schema.Struct({ n: Schema.Finite, timesteps: Schema.Array(Schema.Finite) }))
      }),
      img2img: Schema.Struct({
        cases: Schema.Array(Schema.Struct({
          steps: Schema.Finite,
          strength: Schema.Finite,
          fix_steps: Schema.Boolean,
          schedule_steps: Schema.Finite,
          t_enc: Schema.Finite,
          first_sigma_index: Schema.Finite,
          denoising_steps: Schema.Finite
        }))
      })
    })
  )

/** The noise levels of a model, and their timesteps. */
export const noiseSchedule = () =>
  golden(
    "noise-schedule",
    Schema.Struct({
      tolerance: Schema.Struct({ alphas_cumprod_rel: Schema.Finite, sigma_rel: Schema.Finite, t_abs: Schema.Finite }),
      alphas_cumprod: Schema.Array(Schema.Struct({
        index: Schema.Finite,
        alpha_bar: Schema.Finite,
        sigma: Schema.Finite,
        sigma_f32: Schema.Finite
      })),
      model_sigmas: Schema.Struct({ min: Schema.Finite, max: Schema.Finite }),
      sigma_to_t: Schema.Array(Schema.Struct({
        sigma: Schema.Finite,
        t: Schema.Finite,
        t_quantized: Schema.Finite,
        sigma_back: Schema.Finite,
        sigma_back_quantized: Schema.Finite
      })),
      t_to_sigma: Schema.Array(Schema.Struct({ t: Schema.Finite, sigma: Schema.Finite, t_back: Schema.Finite })),
      zero_terminal_snr: Schema.Struct({
        values: Schema.Array(Schema.Struct({ index: Schema.Finite, alpha_bar: Schema.Finite, sigma: Schema.Finite }))
      })
    })
  )

/** Guided predictions, emphasis and inpainting. */
export const guidance = () =>
  golden(
    "guidance",
    Schema.Struct({
      tolerance: Schema.Struct({ rel: Schema.Finite, abs: Schema.Finite }),
      cfg: Schema.Array(Schema.Struct({
        id: Schema.String,
        scale: Schema.Finite,
        uncond: Numbers,
        conds: Schema.Array(Schema.Struct({ weight: Schema.Finite, values: Numbers })),
        result: Numbers
      })),
      emphasis: Schema.Array(Schema.Struct({
        id: Schema.String,
        z: Numbers,
        multipliers: Schema.Array(Numbers),
        original: Numbers,
        no_norm: Numbers,
        ignore: Numbers
      })),
      inpaint: Schema.Struct({
        nmask: Numbers,
        current: Numbers,
        init: Numbers,
        noise: Numbers,
        webui_blend: Numbers,
        fill_latent_noise: Numbers,
        fill_latent_nothing: Numbers,
        diffusers_blend: Schema.Struct({ alpha_bar_next: Schema.Finite, init_noised: Numbers, result: Numbers }),
        img2img_start: Schema.Struct({
          sigma: Schema.Finite,
          ve_start: Numbers,
          alpha_bar: Schema.Finite,
          vp_start: Numbers
        }),
        steps_case: Schema.Struct({
          s: Schema.Finite,
          mu: Numbers,
          sigmas: Numbers,
          start: Numbers,
          x_after_step: Schema.Array(Numbers),
          final_blended: Numbers
        })
      })
    })
  )

/** Denoised latents from what networks predict. */
export const prediction = () =>
  golden(
    "prediction",
    Schema.Struct({
      tolerance: Schema.Struct({ rel: Schema.Finite, abs: Schema.Finite }),
      sigma_space: Schema.Array(Schema.Struct({
        sigma: Schema.Finite,
        x: Numbers,
        model_output: Numbers,
        c_in: Schema.Finite,
        model_input: Numbers,
        t: Schema.Finite,
        t_quantized: Schema.Finite,
        denoised_if_epsilon: Numbers,
        denoised_if_v: Numbers
      })),
      timestep_space: Schema.Array(Schema.Struct({
        t: Schema.Finite,
        alpha_bar: Schema.Finite,
        x: Numbers,
        v: Numbers,
        eps_from_v: Numbers
      })),
      lcm_boundary: Schema.Array(Schema.Struct({
        timestep: Schema.Finite,
        c_skip: Schema.Finite,
        c_out: Schema.Finite
      }))
    })
  )

/** Draws of `torch.randn` on the CPU. */
export const torchCpu = () =>
  golden(
    "rng-torch-cpu",
    Schema.Struct({
      tolerance: Schema.Struct({ abs: Schema.Finite }),
      cases: Schema.Array(Schema.Struct({
        id: Schema.String,
        seed: Schema.Finite,
        shape: Numbers,
        values: Schema.optionalKey(Numbers),
        second_call_values: Schema.optionalKey(Numbers),
        first16: Schema.optionalKey(Numbers),
        last8: Schema.optionalKey(Numbers),
        last24: Schema.optionalKey(Numbers),
        sum_f64: Schema.optionalKey(Schema.Finite),
        second_call_first8: Schema.optionalKey(Numbers),
        third_call_first8: Schema.optionalKey(Numbers)
      }))
    })
  )

/** Draws of webui's Philox generator. */
export const philox = () =>
  golden(
    "rng-philox",
    Schema.Struct({
      tolerance: Schema.Struct({ abs: Schema.Finite }),
      raw_philox4x32_10: Schema.Array(Schema.Struct({ counter: Numbers, key: Numbers, output: Numbers })),
      cases: Schema.Array(Schema.Struct({
        id: Schema.String,
        seed: Schema.Finite,
        shape: Numbers,
        calls: Schema.Array(Schema.Struct({ call: Schema.Finite, values: Numbers }))
      }))
    })
  )

/** Noise from seeds and variation seeds. */
export const seeds = () =>
  golden(
    "seeds",
    Schema.Struct({
      tolerance: Schema.Struct({ slerp_abs: Schema.Finite, image_noise_abs: Schema.Finite }),
      slerp: Schema.Array(Schema.Struct({
        id: Schema.String,
        shape: Schema.TupleWithRest(Schema.Tuple([Schema.Finite, Schema.Finite]), [Schema.Finite]),
        val: Schema.Finite,
        low: Numbers,
        high: Numbers,
        result: Numbers
      })),
      image_noise: Schema.Array(Schema.Struct({
        id: Schema.String,
        source: Schema.Literals(["CPU", "NV"]),
        shape: Schema.Tuple([Schema.Finite, Schema.Finite, Schema.Finite]),
        seeds: Numbers,
        subseeds: Schema.optionalKey(Numbers),
        subseed_strength: Schema.optionalKey(Schema.Finite),
        seed_resize_from_h: Schema.optionalKey(Schema.Finite),
        seed_resize_from_w: Schema.optionalKey(Schema.Finite),
        eta_noise_seed_delta: Schema.Finite,
        first: Numbers,
        second_draw_first12_per_image: Schema.Array(Numbers),
        third_draw_first12_per_image: Schema.Array(Numbers)
      }))
    })
  )
