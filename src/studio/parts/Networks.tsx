/**
 * Models, LoRAs and embeddings with their previews: a click chooses a model or writes into the prompt.
 */
import type * as api from "../api.ts"
import { Fold } from "../controls/Fold.tsx"
import { Icon } from "../controls/Icon.tsx"
import { failure, isUsed, loadFiles, networkKind, networkKinds, search, shown, use } from "../state/networks.ts"

const Card = ({ file }: { readonly file: api.ModelFile }) => (
  <li>
    <button
      type="button"
      class="network"
      aria-pressed={isUsed(file)}
      title={[file.name, file.family, file.trained_words.slice(0, 8).join(", ")].filter(Boolean).join("\n")}
      onClick={() => void use(file)}
    >
      {file.has_preview
        ? <img src={`v1/model-files/${file.id}/preview`} alt="" loading="lazy" decoding="async" />
        : (
          <span class="network-blank">
            <Icon name="image" />
          </span>
        )}
      <span class="network-name">{file.name}</span>
    </button>
  </li>
)

const nothing = { checkpoint: "model", lora: "LoRA", embedding: "embedding" } as const

const Found = () => {
  if (failure.value !== "") return <p class="hint" role="alert">{failure.value}</p>
  if (shown.value === undefined) return <p class="hint">Loading</p>
  const { files, more } = shown.value
  if (files.length === 0) {
    return <p class="hint">No {nothing[networkKind.value]} {search.value === "" ? "is there" : "has this text"}.</p>
  }
  return (
    <>
      <ul class="networks">{files.map((file) => <Card key={file.id} file={file} />)}</ul>
      {more === 0 ? null : <p class="hint">{more} more: search to see them.</p>}
    </>
  )
}

export const Networks = () => (
  <Fold
    id="networks"
    title="Models, LoRAs and embeddings"
    fields={[]}
    onOpen={() => void loadFiles()}
  >
    <div class="choices" role="radiogroup" aria-label="Kind of file">
      {networkKinds.map(({ kind, label }) => (
        <label key={kind}>
          <input
            type="radio"
            name="networks"
            checked={networkKind.value === kind}
            onChange={() => {
              networkKind.value = kind
            }}
          />
          <span>{label}</span>
        </label>
      ))}
    </div>
    <input
      class="input"
      type="search"
      aria-label="Search files"
      placeholder="Search by name or trained word"
      value={search.value}
      onInput={({ currentTarget }) => {
        search.value = currentTarget.value
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) event.preventDefault()
      }}
    />
    <Found />
  </Fold>
)
