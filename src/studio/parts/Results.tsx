/**
 * The gallery: images generated in this browser, or all images that the server has.
 */
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { forgetAll, mine, refresh, type Shelf, shelf, shelved, theirs, view } from "../state/gallery.ts"

const shelves = [{ id: "mine", label: "Here" }, { id: "server", label: "Server" }] as const

const choose = (id: Shelf) => {
  shelf.value = id
  if (id === "server") void refresh().catch(() => undefined)
}

export const Results = () => {
  if (mine.value.length === 0 && theirs.value.length === 0) return null
  const shown = shelved.value
  return (
    <section class="results" aria-label="Images">
      <div class="results-head">
        <h2>Images</h2>
        {shelf.value === "mine" && shown.length > 0
          ? (
            <button type="button" class="button quiet low" onClick={forgetAll}>
              <Icon name="clear" />
              Clear
            </button>
          )
          : null}
        <div class="choices" role="radiogroup" aria-label="Which images">
          {shelves.map(({ id, label }) => (
            <label key={id}>
              <input type="radio" name="shelf" checked={shelf.value === id} onChange={() => choose(id)} />
              <span>{label}</span>
            </label>
          ))}
        </div>
      </div>
      {shown.length === 0
        ? (
          <p class="muted small">
            {shelf.value === "mine"
              ? "Images that you generate here appear below."
              : "The server has no images at the moment."}
          </p>
        )
        : (
          <ul class="grid">
            {shown.map((image) => (
              <li key={image.key} class="thumb">
                <button
                  type="button"
                  class="open"
                  aria-label={`Open: ${image.prompt === "" ? "without a prompt" : image.prompt}, seed ${image.seed}`}
                  onClick={() => view(shown, image)}
                >
                  <Shown image={image} />
                </button>
              </li>
            ))}
          </ul>
        )}
    </section>
  )
}
