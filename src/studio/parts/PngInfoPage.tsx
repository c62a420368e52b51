/**
 * The PNG info tab: the metadata of an image file.
 */
import type { PngInfo } from "../api.ts"
import { FileButton } from "../controls/FileButton.tsx"
import { Icon } from "../controls/Icon.tsx"
import { sentence } from "../state/problems.ts"
import { apply, copyText, inspect, type Inspected, inspected, startFrom } from "../state/transfer.ts"
import { Facts } from "./Facts.tsx"

const Metadata = ({ info, shown }: { readonly info: PngInfo; readonly shown: Inspected }) => (
  <>
    {info.infotext === null
      ? <p class="muted">This image contains no generation parameters. It can still be used as an init image.</p>
      : info.request === null
      ? null
      : <Facts request={info.request} />}
    {info.problems.length === 0 ? null : (
      <div class="alert">
        <Icon name="alert" />
        <div>
          {info.problems.map(({ message, path }) => (
            <p key={path + message}>{sentence(path === "" ? message : `${path}: ${message}`)}</p>
          ))}
        </div>
      </div>
    )}
    <div class="actions">
      {info.request === null ?
        null :
        (
          <button type="button" class="button main" onClick={() => info.request !== null && apply(info.request)}>
            <Icon name="reuse" />
            Use these settings
          </button>
        )}
      <button type="button" class="button" onClick={() => void startFrom([shown], "img2img")}>
        <Icon name="image" />
        Image to image
      </button>
      <button type="button" class="button" onClick={() => void startFrom([shown], "inpaint")}>
        <Icon name="mask" />
        Inpaint
      </button>
    </div>
    {info.infotext === null ? null : (
      <div class="field">
        <div class="field-head">
          <h3>Infotext</h3>
          <button type="button" class="button quiet low" onClick={() => void copyText(info.infotext ?? "")}>
            <Icon name="copy" />
            Copy
          </button>
        </div>
        <pre class="infotext" tabIndex={0} aria-label="Infotext">{info.infotext}</pre>
      </div>
    )}
    {Object.entries(info.items).map(([name, text]) => (
      <div key={name} class="field">
        <h3>{name}</h3>
        <pre class="infotext" tabIndex={0} aria-label={name}>{text}</pre>
      </div>
    ))}
  </>
)

export const PngInfoPage = () => {
  const shown = inspected.value
  const take = (file: File) => void inspect(file, file.name)
  return (
    <>
      <div class="page-head">
        <h2>PNG info</h2>
        <p class="muted">Shows the generation parameters stored in a PNG, JPEG or WebP file.</p>
      </div>
      {shown === undefined
        ? (
          <div class="drop">
            <Icon name="info" />
            <div>
              <strong>Image to read</strong>
              <p class="small muted">Drop an image anywhere, paste one, or choose a file.</p>
            </div>
            <FileButton label="Choose a file" onFiles={([file]) => take(file)} />
          </div>
        )
        : (
          <div class="png-info">
            <div class="source">
              {shown.failure === undefined
                ? <img src={shown.url} alt={`Image, ${shown.name}`} />
                : null}
              <div class="source-bar">
                <span class="small muted">{shown.name}</span>
                <FileButton label="Replace" onFiles={([file]) => take(file)} isQuiet />
              </div>
            </div>
            <div class="card" aria-live="polite">
              {shown.failure !== undefined
                ? (
                  <div class="alert">
                    <Icon name="alert" />
                    <div>{shown.failure}</div>
                  </div>
                )
                : shown.info === undefined
                ? <p class="muted">Reading</p>
                : <Metadata info={shown.info} shown={shown} />}
            </div>
          </div>
        )}
    </>
  )
}
