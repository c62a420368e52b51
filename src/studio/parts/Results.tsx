/**
 * The gallery: pictures of this browser, or all that the server has.
 */
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { forgetAll, mine, refresh, type Shelf, shelf, shelved, theirs, view } from "../state/pictures.ts"

const shelves = [{ id: "mine", label: "Here" }, { id: "server", label: "Server" }] as const

const choose = (id: Shelf) => {
  shelf.value = id
  if (id === "server") void refresh().catch(() => undefined)
}

export const Results = () => {
  if (mine.value.length === 0 && theirs.value.length === 0) return null
  const shown = shelved.value
  return (
    <section class="results" aria-label="Pictures">
      <div class="results-head">
        <h2>Pictures</h2>
        {shelf.value === "mine" && shown.length > 0
          ? (
            <button type="button" class="button quiet low" onClick={forgetAll}>
              <Icon name="clear" />
              Clear
            </button>
          )
          : null}
        <div class="choices" role="radiogroup" aria-label="Which pictures">
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
              ? "Pictures that you make here are collected below."
              : "The server keeps no pictures at the moment."}
          </p>
        )
        : (
          <ul class="grid">
            {shown.map((picture) => (
              <li key={picture.key} class="thumb">
                <button
                  type="button"
                  class="open"
                  aria-label={`View large: ${
                    picture.prompt === "" ? "without a prompt" : picture.prompt
                  }, seed ${picture.seed}`}
                  onClick={() => view(shown, picture)}
                >
                  <Shown picture={picture} />
                </button>
              </li>
            ))}
          </ul>
        )}
    </section>
  )
}
