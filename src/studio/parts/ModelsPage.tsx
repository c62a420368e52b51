/**
 * The models tab: the files in the server's models folders, and downloads of others.
 */
import type { Signal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { fileSize } from "../../core/Text.ts"
import type * as api from "../api.ts"
import { Icon } from "../controls/Icon.tsx"
import {
  again,
  cancelDownload,
  counts,
  download,
  downloads,
  familyOf,
  folder,
  group,
  groupOf,
  groups,
  isActive,
  isStarting,
  name,
  openModels,
  refusal,
  removeDownload,
  search,
  show,
  showMore,
  shown,
  source,
  speedOf,
  useFile
} from "../state/models.ts"
import { addWord, failure, files, isUsed } from "../state/networks.ts"

const states = {
  waiting: "waits for its turn",
  running: "",
  done: "is there",
  failed: "failed",
  cancelled: "cancelled"
} as const

const factsOf = (of: api.Download): string => {
  const { received, size, state } = of
  const speed = speedOf(of)
  const bytes = received === 0 && state !== "running"
    ? ""
    : size === null || state === "done"
    ? fileSize(received)
    : `${fileSize(received)} of ${fileSize(size)}`
  return [states[state], bytes, speed === undefined ? "" : `${fileSize(speed)}/s`].filter((text) => text !== "").join(
    ", "
  )
}

const Download = ({ of }: { readonly of: api.Download }) => {
  const { name, problem, received, size, source, state } = of
  const part = size === null || size === 0 ? undefined : received / size
  return (
    <li class="download">
      <div class="download-head">
        <div>
          <strong>{name ?? source}</strong>
          <span class="small muted">{factsOf(of)}</span>
        </div>
        {isActive(of)
          ? (
            <button
              type="button"
              class="button low"
              aria-label={`Cancel the download of ${name ?? source}`}
              onClick={() => void cancelDownload(of)}
            >
              Cancel
            </button>
          )
          : (
            <div class="actions">
              {state === "done" ? null : (
                <button
                  type="button"
                  class="button low"
                  aria-label={`${received > 0 ? "Continue" : "Try again"}: ${name ?? source}`}
                  onClick={() => again(of)}
                >
                  {received > 0 ? "Continue" : "Try again"}
                </button>
              )}
              <button
                type="button"
                class="button quiet low square"
                aria-label={state === "done"
                  ? `Take ${name ?? source} out of this list`
                  : `Remove what has arrived of ${name ?? source}`}
                title={state === "done" ? "Take it out of this list" : "Remove what has arrived"}
                onClick={() => void removeDownload(of)}
              >
                <Icon name="close" />
              </button>
            </div>
          )}
      </div>
      {isActive(of)
        ? (
          <div
            class={part === undefined ? "bar unknown" : "bar"}
            role="progressbar"
            aria-label={`Download of ${name ?? source}`}
            aria-valuemin={0}
            aria-valuemax={100}
            aria-valuenow={part === undefined ? undefined : Math.floor(100 * part)}
          >
            <div style={{ transform: `scaleX(${part ?? 1})` }} />
          </div>
        )
        : null}
      {problem === null ? null : (
        <p class="problem">
          <Icon name="alert" />
          <span>{state === "done" ? "It cannot be used" : "It was not downloaded"}: {problem}.</span>
        </p>
      )}
    </li>
  )
}

// What a download may have besides its address.
const Choice = ({ label, placeholder, text }: {
  readonly label: string
  readonly placeholder: string
  readonly text: Signal<string>
}) => {
  const id = `download-${label.toLowerCase()}`
  return (
    <div class="field">
      <label class="label" for={id}>{label}</label>
      <input
        id={id}
        class="input"
        type="text"
        placeholder={placeholder}
        autoComplete="off"
        value={text.value}
        onInput={({ currentTarget }) => {
          text.value = currentTarget.value
        }}
      />
    </div>
  )
}

const Downloads = () => {
  const list = downloads.value
  if (list === undefined) return null
  if (list.refusal !== null) return <p class="muted">{list.refusal}</p>
  return (
    <section class="card downloads" aria-label="Download a model">
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          void download()
        }}
      >
        <div class="field">
          <label class="label" for="download-source">Download a model</label>
          <div class="with-button">
            <input
              id="download-source"
              class="input"
              type="text"
              placeholder="owner/name, or https://"
              autoComplete="off"
              spellcheck={false}
              aria-invalid={refusal.value !== ""}
              aria-describedby="download-hint download-problem"
              value={source.value}
              onInput={({ currentTarget }) => {
                source.value = currentTarget.value
                refusal.value = ""
              }}
            />
            <button type="submit" class="button" aria-disabled={isStarting.value}>
              <Icon name="download" />
              Download
            </button>
          </div>
          <span class="hint" id="download-hint">
            A repository of the Hugging Face hub, a file of one, or the address of a file, of up to{" "}
            {fileSize(list.max_bytes)}. It goes into the folder of its kind.
          </span>
          <span class="problem" id="download-problem" role="alert" hidden={refusal.value === ""}>
            <Icon name="alert" />
            <span>{refusal.value}</span>
          </span>
        </div>
        <details class="fold">
          <summary>
            <Icon name="on" />
            Name and folder
          </summary>
          <div class="fold-body row">
            <Choice label="Name" text={name} placeholder="as the server calls it" />
            <Choice label="Folder" text={folder} placeholder="of its kind, or such as Lora/styles" />
          </div>
        </details>
      </form>
      {list.downloads.length === 0
        ? null
        : (
          <ul class="download-list" aria-label="Downloads">
            {list.downloads.map((of) => <Download key={of.id} of={of} />)}
          </ul>
        )}
    </section>
  )
}

/** Trained words that are shown of a file. */
const mostWords = 6

const Words = ({ of: { name, trained_words: words } }: { readonly of: api.ModelFile }) =>
  words.length === 0 ? null : (
    <div class="words" role="group" aria-label={`Trained words of ${name}`}>
      {words.slice(0, mostWords).map((word) => (
        <button
          key={word}
          type="button"
          class="word"
          title="Put it into the prompt"
          onClick={() => addWord(word)}
        >
          {word}
        </button>
      ))}
      {words.length > mostWords
        ? <span class="small muted" title={words.slice(mostWords).join(", ")}>and {words.length - mostWords} more</span>
        : null}
    </div>
  )

const Use = ({ file }: { readonly file: api.ModelFile }) => {
  const isOn = isUsed(file)
  const label = file.kind === "checkpoint"
    ? isOn ? "In use" : "Use"
    : file.kind === "lora" || file.kind === "embedding"
    ? isOn ? "In the prompt" : "Add to the prompt"
    : undefined
  return label === undefined || file.problem !== null ? null : (
    <button
      type="button"
      class="button low"
      aria-pressed={isOn}
      aria-label={`${label}: ${file.name}`}
      onClick={() => void useFile(file)}
    >
      {isOn ? <Icon name="check" /> : null}
      {label}
    </button>
  )
}

const File = ({ file }: { readonly file: api.ModelFile }) => (
  <li class="file">
    {file.has_preview
      ? <img src={`v1/model-files/${file.id}/thumbnail`} alt="" loading="lazy" decoding="async" />
      : (
        <span class="file-blank">
          <Icon name="image" />
        </span>
      )}
    <div class="file-facts">
      <h3>{file.name}</h3>
      <p class="small muted">
        {[groupOf(file).one, familyOf(file), fileSize(file.size)].filter((text) => text !== "").join(", ")}
      </p>
      {file.hash === null ? null : <code class="muted" title="The first digits of its SHA-256">{file.hash}</code>}
      {file.problem === null ? null : (
        <p class="problem">
          <Icon name="alert" />
          <span>Not used: {file.problem}.</span>
        </p>
      )}
      <Words of={file} />
      <Use file={file} />
    </div>
  </li>
)

const Files = () => {
  if (failure.value !== "") {
    return (
      <div class="alert" role="alert">
        <Icon name="alert" />
        <div>{failure.value}</div>
        <button type="button" class="button low" onClick={openModels}>Try again</button>
      </div>
    )
  }
  if (shown.value === undefined) return <p class="muted">Loading</p>
  const { files: found, more } = shown.value
  if (found.length === 0) {
    const kind = groups.find(({ label }) => label === group.value)?.one ?? "file"
    return <p class="muted">No {kind} {search.value.trim() === "" ? "is there" : "has this text"}.</p>
  }
  return (
    <>
      <ul class="files">{found.map((file) => <File key={file.id} file={file} />)}</ul>
      {more === 0 ? null : <button type="button" class="button" onClick={showMore}>Show more, {more} are left</button>}
    </>
  )
}

const Filter = ({ count, label, value }: {
  readonly label: string
  readonly count: number
  readonly value: typeof group.value
}) => (
  <button
    type="button"
    class="chip"
    aria-pressed={group.value === value}
    onClick={() => show({ group: value })}
  >
    {label} <span class="muted">{count}</span>
  </button>
)

export const ModelsPage = () => {
  useEffect(openModels, [])
  const all = [...counts.value.values()].reduce((sum, count) => sum + count, 0)
  const isEmpty = files.value?.every(({ embedded }) => embedded) === true
  return (
    <>
      <div class="page-head">
        <h2>Models</h2>
        <p class="muted">What is in the server's models folders.</p>
      </div>
      <Downloads />
      {isEmpty
        ? (
          <p class="muted">
            Only the model that comes with Serena is here.{" "}
            {downloads.value?.refusal === null ? "Download another one, or put" : "Put"}{" "}
            files into the models folder, and refresh.
          </p>
        )
        : null}
      <div class="file-bar">
        <input
          class="input"
          type="search"
          aria-label="Search models"
          placeholder="Search by name or trained word"
          value={search.value}
          onInput={({ currentTarget }) => {
            show({ text: currentTarget.value })
          }}
        />
        <button type="button" class="button" onClick={openModels}>
          <Icon name="reuse" />
          Refresh
        </button>
        <div class="chips" role="group" aria-label="Kind of file">
          <Filter label="All" count={all} value={undefined} />
          {groups.filter(({ label }) => (counts.value.get(label) ?? 0) > 0 || group.value === label).map((
            { label }
          ) => <Filter key={label} label={label} count={counts.value.get(label) ?? 0} value={label} />)}
        </div>
      </div>
      <Files />
    </>
  )
}
