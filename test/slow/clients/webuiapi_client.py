"""What a program with webuiapi does; prints what it has got as one JSON object. Usage: webuiapi_client.py PORT"""
import json
import sys

import webuiapi
from PIL import Image

api = webuiapi.WebUIApi(host="127.0.0.1", port=int(sys.argv[1]))
got = {}
request = {"prompt": "a red circle", "steps": 4, "width": 128, "height": 128, "seed": 1}

made = api.txt2img(**request)
got["txt2img"] = [made.image.size, made.info["seed"], made.parameters["steps"]]
got["batch"] = len(api.txt2img(**request, batch_size=2, n_iter=2).images)
large = api.txt2img(**{**request, "width": 64, "height": 64}, enable_hr=True, hr_upscaler=webuiapi.HiResUpscaler.Latent)
got["hires"] = large.image.size
got["img2img"] = api.img2img(**request, images=[made.image], denoising_strength=0.5).image.size
mask = Image.new("RGB", (128, 128), "white")
got["inpainting"] = api.img2img(**request, images=[made.image], mask_image=mask, inpainting_fill=1).image.size
script = api.img2img(**request, images=[made.image], script_name="SD upscale", script_args=["", 64, "Lanczos", 2.0])
got["script"] = script.image.size
extra = {"upscaler_1": webuiapi.Upscaler.Lanczos, "upscaling_resize": 1.5}
got["extra"] = api.extra_single_image(image=made.image, **extra).image.size
got["extras"] = len(api.extra_batch_images(images=[made.image, made.image], **extra).images)
got["png_info"] = api.png_info(made.image).info

for name in (
    "interrupt skip get_options get_cmd_flags get_progress get_samplers get_sd_vae get_upscalers get_latent_upscale_modes "
    "get_loras get_sd_models get_hypernetworks get_face_restorers get_realesrgan_models get_prompt_styles "
    "refresh_checkpoints get_scripts get_embeddings get_memory get_schedulers"
).split():
    json.dumps(getattr(api, name)())

api.set_options(api.get_options())
api.util_set_model("shapes")
api.util_wait_for_ready(0.05)
got["model"] = api.util_get_current_model()

try:
    api.interrogate(made.image)
except RuntimeError as error:
    got["interrogate"] = error.args[0]

print(json.dumps(got))
