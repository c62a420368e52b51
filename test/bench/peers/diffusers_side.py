"""The side of diffusers in `npm run bench:peers`, in a process of its own.

    diffusers_side.py
    diffusers_side.py float32|bfloat16 SIZE STEPS THREADS

Without arguments it prints the versions as JSON, or what keeps it from working. With them it makes a UNet of Stable
Diffusion 1.5's size with random weights and prints the seconds that took. Then, for each line that it reads, it makes
the steps of an image with Euler and CFG 7, and prints the seconds that a step took.
"""

import json
import sys
import time

try:
    import diffusers
    import torch
except ImportError as error:
    print(json.dumps({"problem": str(error)}))
    sys.exit()

if len(sys.argv) == 1:
    print(json.dumps({"diffusers": diffusers.__version__, "torch": torch.__version__}))
    sys.exit()

begun = time.perf_counter()
dtype = getattr(torch, sys.argv[1])
size, steps, threads = map(int, sys.argv[2:])
side = size // 8
torch.set_num_threads(threads)
torch.manual_seed(1)
diffusers.utils.logging.set_verbosity_error()

unet = diffusers.UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).to(dtype).eval()
scheduler = diffusers.EulerDiscreteScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
)
texts = torch.randn(2, 77, 768, dtype=dtype)
noise = torch.randn(1, 4, side, side, dtype=dtype)


@torch.inference_mode()
def sample():
    scheduler.set_timesteps(steps)
    latents = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        rows = scheduler.scale_model_input(torch.cat([latents, latents]), t)
        unconditional, conditional = unet(rows, t, encoder_hidden_states=texts, return_dict=False)[0].chunk(2)
        guided = unconditional + 7 * (conditional - unconditional)
        latents = scheduler.step(guided, t, latents, return_dict=False)[0]


print(time.perf_counter() - begun, flush=True)
for _ in sys.stdin:
    begun = time.perf_counter()
    sample()
    print((time.perf_counter() - begun) / steps, flush=True)
