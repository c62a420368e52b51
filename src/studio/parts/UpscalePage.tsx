/**
 * The upscale tab: enlarges an image without a model of diffusion, and compares the two.
 */
import { FileButton } from "../controls/FileButton.tsx"
import { Icon } from "../controls/Icon.tsx"
import { NumberControl, SelectControl } from "../controls/inputs.tsx"
import { saveAs, startFrom } from "../state/transfer.ts"
import { choices, enlargement, isUpscaling, takeForUpscale, upscale, upscaled } from "../state/upscale.ts"
import { Compared } from "./Compared.tsx"

const take = ([file]: readonly [File, ...ReadonlyArray<File>]) => void takeForUpscale(file, file.name)

export const UpscalePage = () => {
  const { from, to } = upscaled.value ?? {}
  const { scale, upscaler } = enlargement.value
  return (
    <>
      <div class="page-head">
        <h2>Upscale</h2>
        <p class="muted">Enlarges an image as it is. To add detail while enlarging, use hires fix or image to image.</p>
      </div>
      {from === undefined
        ? (
          <div class="drop">
            <Icon name="image" />
            <div>
              <strong>Image to upscale</strong>
              <p class="small muted">Drop an image anywhere, paste one, or choose a file.</p>
            </div>
            <FileButton label="Choose a file" onFiles={take} />
          </div>
        )
        : (
          <div class="upscale">
            <div class="upscale-images">
              {to === undefined
                ? <img src={from.url} alt={`Image to upscale, ${from.name}`} />
                : (
                  <Compared
                    before={{ url: from.url, label: `Before, ${from.name}` }}
                    after={{ url: to.url, label: `Upscaled, ${to.name}` }}
                  />
                )}
            </div>
            <div class="card">
              <p class="muted small">
                {from.name}, {from.width} × {from.height}
                {to === undefined ? "" : `, now ${to.width} × ${to.height}`}
              </p>
              <SelectControl
                of={{
                  name: "upscaler",
                  label: "Upscaler",
                  value: upscaler === "" ? choices()[0]?.name ?? "" : upscaler,
                  set: (upscaler) => {
                    enlargement.value = { ...enlargement.value, upscaler }
                  }
                }}
                choices={choices().map(({ name }) => ({ value: name, label: name }))}
              />
              <NumberControl
                of={{
                  name: "upscaling_resize",
                  label: "Scale",
                  value: scale,
                  set: (scale) => {
                    enlargement.value = { ...enlargement.value, scale }
                  }
                }}
                slider={[1, 8]}
                step={0.5}
              />
              <button
                type="button"
                class="button main"
                aria-disabled={isUpscaling.value || scale === null}
                onClick={() => void upscale()}
              >
                {isUpscaling.value ? "Working" : "Upscale"}
              </button>
              <div class="actions">
                {to === undefined ? null : (
                  <>
                    <button type="button" class="button" onClick={() => saveAs(to.blob, to.name)}>
                      <Icon name="download" />
                      Download
                    </button>
                    <button
                      type="button"
                      class="button"
                      onClick={() => void startFrom([to], "img2img")}
                    >
                      <Icon name="image" />
                      Image to image
                    </button>
                  </>
                )}
                <FileButton label="Replace" onFiles={take} />
              </div>
            </div>
          </div>
        )}
    </>
  )
}
