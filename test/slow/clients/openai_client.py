"""What programs with openai and litellm do; prints what they have got as one JSON object. Usage: openai_client.py URL"""
import base64
import io
import json
import os
import sys

# Its list of prices would be fetched otherwise.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
from PIL import Image

url = sys.argv[1] + "/v1"
key = "sk-of-any-kind"
client = openai.OpenAI(api_key=key, base_url=url, max_retries=0)
got = {}
few = {"serena": {"steps": 4, "seed": 1}}


def opened(made):
    return Image.open(io.BytesIO(base64.b64decode(made.b64_json)))


def named(image, name):
    data = io.BytesIO()
    image.save(data, "PNG")
    return (name, data.getvalue(), "image/png")


made = client.images.generate(prompt="a red circle", n=2, size="128x128", extra_body=few)
got["generate"] = [len(made.data), opened(made.data[0]).size, made.data[1].serena["seed"]]
image = opened(made.data[0]).convert("RGBA")
mask = image.copy()
mask.paste((0, 0, 0, 0), (0, 0, 64, 128))
edited = client.images.edit(
    image=named(image, "a.png"), mask=named(mask, "mask.png"), prompt="a blue ring", output_format="webp", output_compression=80
)
got["edit"] = [opened(edited.data[0]).format, opened(edited.data[0]).size]
several = client.images.edit(image=[named(image, "a.png"), named(image, "b.png")], prompt="a blue ring")
got["several"] = len(several.data)
got["variation"] = opened(client.images.create_variation(image=named(image, "a.png"), response_format="b64_json").data[0]).size
events = client.images.generate(prompt="a red circle", size="128x128", stream=True, partial_images=2)
got["stream"] = [event.type for event in events][-1]
got["models"] = [model.id for model in client.models.list()]
try:
    client.images.generate(prompt="a red circle", size="wide")
except openai.BadRequestError as error:
    got["refusal"] = [error.status_code, error.code, error.param]

routed = litellm.image_generation(
    prompt="a red circle", model="openai/shapes-128", api_base=url, api_key=key, size="128x128", n=1
)
got["litellm"] = opened(routed.data[0]).size
routed = litellm.image_edit(
    image=named(image, "a.png")[1], prompt="a blue ring", model="openai/gpt-image-1", api_base=url, api_key=key
)
got["litellm edit"] = opened(routed.data[0]).size

print(json.dumps(got))
