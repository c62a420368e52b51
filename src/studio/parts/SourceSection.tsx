/**
 * The init image and its fields.
 */
import { signal } from "@preact/signals"
import { ProblemOf } from "../controls/Field.tsx"
import { FileButton } from "../controls/FileButton.tsx"
import { Fold } from "../controls/Fold.tsx"
import { Icon } from "../controls/Icon.tsx"
import { Choices, NumberInput, Select, Switch } from "../controls/inputs.tsx"
import { modelSize, selectedModel } from "../state/catalogue.ts"
import { form } from "../state/form.ts"
import { clearProblems } from "../state/problems.ts"
import {
  add,
  drop,
  dropOne,
  extend,
  painted,
  type SourceKind,
  sources,
  take,
  takeBlank,
  takeMask
} from "../state/source.ts"
import { isEmpty } from "../state/strokes.ts"
import { named } from "../state/transfer.ts"
import { BrushEditor } from "./BrushEditor.tsx"

const taking = (kind: SourceKind) => (files: ReadonlyArray<File>) => {
  clearProblems(["init_images", "mask"])
  void take(kind, named(files))
}

/** Whether the init image is sketched on. */
const isSketching = signal(false)

const sketchBlank = async () => {
  await takeBlank(form.value.width ?? modelSize.value.width, form.value.height ?? modelSize.value.height)
  isSketching.value = true
}

const sides = [
  { side: "left", icon: "back" },
  { side: "right", icon: "on" },
  { side: "top", icon: "up" },
  { side: "bottom", icon: "down" }
] as const

const Empty = ({ kind }: { readonly kind: SourceKind }) => (
  <div class="drop">
    <Icon name={kind === "inpaint" ? "mask" : "image"} />
    <div>
      <strong>{kind === "inpaint" ? "Image to inpaint" : "Init image"}</strong>
      <p class="small muted">Drop an image anywhere, paste one, or choose a file.</p>
    </div>
    <FileButton
      label={kind === "inpaint" ? "Choose a file" : "Choose files"}
      onFiles={taking(kind)}
      isMultiple={kind === "img2img"}
    />
    {kind === "img2img"
      ? (
        <button type="button" class="button quiet low" onClick={() => void sketchBlank()}>
          <Icon name="brush" />
          Sketch on a blank image
        </button>
      )
      : null}
  </div>
)

export const SourceSection = ({ kind }: { readonly kind: SourceKind }) => {
  const [start, ...others] = sources.value[kind]
  const hasSketch = !isEmpty(painted.value.img2img)
  const removal = others.length === 0 ? "Remove the init image" : "Remove all init images"
  return (
    <section class={kind === "inpaint" ? "field bench" : "field"} aria-label="Init image">
      {start === undefined ? <Empty kind={kind} /> : (
        <div class="source">
          {kind === "inpaint"
            ? <BrushEditor kind="inpaint" source={start} />
            : isSketching.value || hasSketch
            ? <BrushEditor kind="img2img" source={start} />
            : <img src={start.url} alt={`Init image, ${start.name}`} />}
          {others.length === 0 ? null : (
            <ul class="others" aria-label="Other init images">
              {others.map((image) => (
                <li key={image.url}>
                  <img src={image.url} alt={`Init image, ${image.name}`} title={image.name} />
                  <button
                    type="button"
                    class="button square"
                    aria-label={`Remove ${image.name}`}
                    title={`Remove ${image.name}`}
                    onClick={() => dropOne(image)}
                  >
                    <Icon name="close" />
                  </button>
                </li>
              ))}
            </ul>
          )}
          <div class="source-bar">
            <span class="small muted">
              {others.length === 0
                ? `${start.width} × ${start.height}`
                : `${others.length + 1} images, each a run of its own`}
            </span>
            {kind === "inpaint"
              ? (
                <>
                  <span class="extend" role="group" aria-label="Extend the image">
                    {sides.map(({ icon, side }) => (
                      <button
                        key={side}
                        type="button"
                        class="button quiet low square"
                        aria-label={`Extend to the ${side}`}
                        title={`Extend the image to the ${side} by a quarter`}
                        onClick={() => void extend(side)}
                      >
                        <Icon name={icon} />
                      </button>
                    ))}
                  </span>
                  <FileButton label="Mask from a file" onFiles={([file]) => void takeMask(file, file.name)} isQuiet />
                </>
              )
              : null}
            {kind === "img2img"
              ? (
                <>
                  <button
                    type="button"
                    class="button quiet low"
                    aria-pressed={isSketching.value || hasSketch}
                    disabled={hasSketch}
                    title={hasSketch ? "Clear the sketch to take the brush away" : "Paint on the init image"}
                    onClick={() => {
                      isSketching.value = !isSketching.value
                    }}
                  >
                    <Icon name="brush" />
                    Sketch
                  </button>
                  <FileButton label="Add" onFiles={(files) => void add(named(files))} isMultiple isQuiet />
                </>
              )
              : null}
            <FileButton label="Replace" onFiles={taking(kind)} isMultiple={kind === "img2img"} isQuiet />
            <button
              type="button"
              class="button quiet low square"
              aria-label={removal}
              title={removal}
              onClick={() => drop(kind)}
            >
              <Icon name="close" />
            </button>
          </div>
        </div>
      )}
      <ProblemOf name="init_images" />
      {kind === "inpaint" ? <ProblemOf name="mask" /> : null}
    </section>
  )
}

export const Strength = () => (
  <>
    <NumberInput
      name="denoising_strength"
      slider={[0, 1]}
      step={0.01}
    />
    {selectedModel.value?.variant === "instruct-pix2pix" || form.value.image_cfg_scale !== null
      ? <NumberInput name="image_cfg_scale" slider={[0, 3]} step={0.05} otherwise={1} />
      : null}
    <Select
      name="resize_mode"
      hint={null}
      choices={[
        { value: "0", label: "Just resize" },
        { value: "1", label: "Crop and resize" },
        { value: "2", label: "Resize and fill" },
        { value: "3", label: "Just resize (latent upscale)" }
      ]}
    />
  </>
)

export const Inpainting = () => (
  <Fold
    id="inpainting"
    title="Inpainting"
    fields={["mask_blur", "mask_round", "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding"]}
  >
    <Choices
      name="inpainting_mask_invert"
      hint={null}
      choices={[{ value: "0", label: "Inpaint masked" }, { value: "1", label: "Inpaint not masked" }]}
    />
    <Choices
      name="inpaint_full_res"
      choices={[{ value: "false", label: "Whole picture" }, { value: "true", label: "Only masked" }]}
    />
    <NumberInput
      name="inpaint_full_res_padding"
      slider={[0, 256]}
    />
    <Select
      name="inpainting_fill"
      hint="What the masked area starts from."
      choices={[
        { value: "0", label: "fill" },
        { value: "1", label: "original" },
        { value: "2", label: "latent noise" },
        { value: "3", label: "latent nothing" }
      ]}
    />
    <NumberInput name="mask_blur" slider={[0, 64]} />
    <Switch name="mask_round" />
  </Fold>
)
