/**
 * The gallery: all images that the server keeps, grouped by day. Only the part in sight is in the document.
 */
import { useComputed, useSignal } from "@preact/signals"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { models } from "../state/catalogue.ts"
import {
  clearSelection,
  dragging,
  everything,
  filter,
  filters,
  hasMore,
  isFiltered,
  knownTags,
  more,
  refresh,
  remove,
  select,
  selectAll,
  selected,
  selection,
  selectTo,
  star,
  starAll,
  tagAll,
  type Tile,
  tiles,
  unavailable,
  view
} from "../state/gallery.ts"
import { again } from "../state/runs.ts"
import { downloadAll } from "../state/transfer.ts"
import { type Cell, gridOf, type Row } from "./grid.ts"

const dayFormat = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" })

const names = new Map<number, string>()

const midnight = (time: number, later = 0): number => {
  const date = new Date(time)
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + later).getTime()
}

const dayName = (time: number, now: number): string => {
  const day = midnight(time)
  if (day === midnight(now)) return "Today"
  if (day === midnight(now, -1)) return "Yesterday"
  const name = names.get(day) ?? dayFormat.format(day)
  names.set(day, name)
  return name
}

const nameOf = (prompt: string): string => prompt === "" ? "without a prompt" : prompt

const place = ({ left, size, top }: Cell<Tile>) => ({
  transform: `translate(${left}px, ${top}px)`,
  width: `${size}px`,
  height: `${size}px`
})

const Star = ({ run }: Pick<Tile, "run">) => (
  <button
    type="button"
    class="star"
    tabIndex={-1}
    aria-pressed={run.starred}
    aria-label="Star"
    title={run.starred ? "Take the star away (S)" : "Star (S)"}
    onClick={() => void star(run)}
  >
    <Icon name="star" />
  </button>
)

// Clicks with Ctrl or Shift select, and so does each one while something is selected.
const onTile = ({ image, key }: Tile) => (event: MouseEvent) => {
  if (event.shiftKey) selectTo(key)
  else if (event.ctrlKey || event.metaKey || selected.value.size > 0) select(key)
  else if (image !== undefined) view(image, "gallery")
}

const Check = ({ tile: { key } }: { readonly tile: Tile }) => (
  <button
    type="button"
    class="check"
    tabIndex={-1}
    aria-pressed={selected.value.has(key)}
    aria-label="Select"
    title="Select (X)"
    onClick={(event) => event.shiftKey ? selectTo(key) : select(key)}
  >
    <Icon name="check" />
  </button>
)

const Thumb = ({ cell, isJoined, isReached, onFocus }: {
  readonly cell: Cell<Tile>
  readonly isReached: boolean
  /** Whether the next one is of the same run. */
  readonly isJoined: boolean
  readonly onFocus: () => void
}) => {
  const { image, key, run } = cell.item
  const { prompt } = run.request
  const reached = { "data-key": key, tabIndex: isReached ? 0 : -1, onFocus }
  return (
    <li
      class={`thumb${image === undefined ? " failed" : ""}${isJoined ? " joined" : ""}${
        selected.value.has(key) ? " chosen" : ""
      }`}
      style={place(cell)}
      {...image === undefined ? {} : dragging(image)}
    >
      {image === undefined
        ? (
          <>
            <p title={run.status._tag === "Failed" ? run.status.message : ""}>
              <Icon name="alert" />
              <span>{run.status._tag === "Failed" ? run.status.message : ""}</span>
            </p>
            <button
              type="button"
              class="button low"
              {...reached}
              aria-label={`Retry: ${nameOf(prompt)}`}
              onClick={() => void again(run.id)}
            >
              Retry
            </button>
          </>
        )
        : (
          <button
            type="button"
            class="open"
            {...reached}
            aria-label={`Open: ${image.isPlot ? image.name : `${nameOf(prompt)}, seed ${image.seed}`}`}
            onClick={onTile(cell.item)}
          >
            <Shown image={image} />
          </button>
        )}
      <Check tile={cell.item} />
      <Star run={run} />
    </li>
  )
}

/** What can be done with the images that are selected. */
const Selection = () => {
  const { images, runs } = selection.value
  if (images.length + runs.length === 0) return null
  return (
    <div class="selection" role="toolbar" aria-label="Selection">
      <strong>{images.length === 0 ? runs.length : images.length} selected</strong>
      <button
        type="button"
        class="button low"
        disabled={images.length === 0}
        onClick={() => void downloadAll(images)}
      >
        <Icon name="download" />
        Download as zip
      </button>
      <button
        type="button"
        class="button low"
        aria-pressed={runs.every(({ starred }) => starred)}
        onClick={() => void starAll(runs)}
      >
        <Icon name="star" />
        Star all
      </button>
      <form
        class="with-button"
        onSubmit={(event) => {
          event.preventDefault()
          const input = event.currentTarget.elements.namedItem("tag")
          if (!(input instanceof HTMLInputElement) || input.value.trim() === "") return
          void tagAll(runs, input.value.trim())
          input.value = ""
        }}
      >
        <input
          class="input"
          name="tag"
          aria-label="Tag for all"
          placeholder="Tag for all"
          maxLength={100}
          list="known-tags"
          autocomplete="off"
        />
      </form>
      <button type="button" class="button low" onClick={() => remove(runs)}>
        <Icon name="clear" />
        Remove {runs.length}
      </button>
      <button type="button" class="button low" onClick={selectAll}>Select all</button>
      <button
        type="button"
        class="button quiet low square"
        aria-label="Select nothing"
        title="Select nothing (Escape)"
        onClick={clearSelection}
      >
        <Icon name="close" />
      </button>
    </div>
  )
}

// While someone types, the server is not asked at each key.
let typing: ReturnType<typeof setTimeout> | undefined
const search = (text: string) => {
  clearTimeout(typing)
  typing = setTimeout(() => void filter({ search: text }), 250)
}

const Filters = ({ isOpen, onOpen }: { readonly isOpen: boolean; readonly onOpen: () => void }) => {
  const { from, model, search: text, starred, tag, to } = filters.value
  return (
    <>
      <div class="results-head">
        <h2>Images</h2>
        <input
          type="search"
          class="input"
          aria-label="Search prompts"
          placeholder="Search prompts"
          value={text}
          onInput={({ currentTarget }) => search(currentTarget.value)}
        />
        <button
          type="button"
          class="button low"
          aria-pressed={starred}
          onClick={() => void filter({ starred: !starred })}
        >
          <Icon name="star" />
          Starred
        </button>
        <button type="button" class="button low" aria-expanded={isOpen} aria-controls="filters" onClick={onOpen}>
          <Icon name="sort" />
          Filter
        </button>
      </div>
      <div id="filters" class="filters" hidden={!isOpen}>
        <label>
          <span class="label">Model</span>
          <select class="input" onChange={({ currentTarget }) => void filter({ model: currentTarget.value })}>
            <option value="" selected={model === ""}>All models</option>
            {models.value.map(({ name }) => <option key={name} value={name} selected={model === name}>{name}</option>)}
          </select>
        </label>
        <label>
          <span class="label">Tag</span>
          <input
            class="input"
            list="known-tags"
            value={tag}
            onChange={({ currentTarget }) => void filter({ tag: currentTarget.value })}
          />
          <datalist id="known-tags">{knownTags.value.map((name) => <option key={name} value={name} />)}</datalist>
        </label>
        <label>
          <span class="label">From</span>
          <input
            type="date"
            class="input"
            value={from}
            onChange={({ currentTarget }) => void filter({ from: currentTarget.value })}
          />
        </label>
        <label>
          <span class="label">To</span>
          <input
            type="date"
            class="input"
            value={to}
            onChange={({ currentTarget }) => void filter({ to: currentTarget.value })}
          />
        </label>
        <button type="button" class="button low" disabled={!isFiltered.value} onClick={() => void filter(everything)}>
          Show all
        </button>
      </div>
    </>
  )
}

/** Pixels above and below the window that are in the document. */
const margin = 600

// The list is taken apart by days again, so that a screen reader meets each day's heading before its images.
const byDay = (rows: ReadonlyArray<Row<Tile>>) => [...Map.groupBy(rows, ({ group }) => group)]

const dayOf = () => {
  const now = Date.now()
  return ({ run }: Tile) => dayName(run.submitted_at, now)
}

const Grid = () => {
  const box = useRef<HTMLDivElement>(null)
  const width = useSignal(0)
  // How much of the list is above the window's upper edge, in steps, and the window's height.
  const seen = useSignal({ top: 0, height: 0 })
  const reached = useSignal("")
  const wanted = useRef<string | undefined>(undefined)
  const isChoosing = useComputed(() => selected.value.size > 0)
  const rows = useComputed(() => gridOf(tiles.value, width.value, dayOf()))
  // Not searched for at each step of scrolling.
  const reachedRow = useComputed(() =>
    rows.value.rows.findIndex(({ cells }) => cells.some(({ item }) => item.key === reached.value))
  )

  useLayoutEffect(() => {
    const measure = () => {
      const rect = box.current?.getBoundingClientRect()
      if (rect === undefined) return
      width.value = rect.width
      const top = Math.floor(-rect.top / 200) * 200
      if (top !== seen.peek().top || innerHeight !== seen.peek().height) seen.value = { top, height: innerHeight }
    }
    // What is above the list changes its place, too.
    const observer = new ResizeObserver(measure)
    observer.observe(document.body)
    if (box.current !== null) observer.observe(box.current)
    addEventListener("scroll", measure, { passive: true })
    addEventListener("resize", measure)
    return () => {
      observer.disconnect()
      removeEventListener("scroll", measure)
      removeEventListener("resize", measure)
    }
  }, [])

  const { height: windowHeight, top } = seen.value
  const all = rows.value.rows
  const last = all.at(-1)
  const height = last === undefined ? 0 : last.top + last.height
  // The first rows are always there, however far below the form.
  const visible = all.filter((row, i) =>
    i < 3 ||
    (row.top + row.height > top - margin && row.top < top + windowHeight + margin + 200) ||
    i === reachedRow.value
  )
  const isAtEnd = top + windowHeight + 2 * margin > height
  useEffect(() => {
    if (isAtEnd && width.value > 0) void more()
  }, [isAtEnd, height, width.value, hasMore.value])

  useLayoutEffect(() => {
    if (wanted.current === undefined) return
    const target = box.current?.querySelector<HTMLElement>(`[data-key="${wanted.current}"]`)
    wanted.current = undefined
    target?.focus()
  })

  // The arrow keys go through the images, up and down by their rows.
  const onKeyDown = (event: KeyboardEvent) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "a") {
      event.preventDefault()
      return selectAll()
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof HTMLElement)) return
    const key = event.target.dataset["key"]
    const list = tiles.value
    const at = list.findIndex((tile) => tile.key === key)
    const tile = list[at]
    if (tile === undefined) return
    const go = (to: number) => {
      const target = list[Math.max(0, Math.min(list.length - 1, to))]
      if (target === undefined) return
      wanted.current = target.key
      reached.value = target.key
    }
    const vertical = (by: -1 | 1) => {
      const row = all.findIndex(({ cells }) => cells.some(({ item }) => item.key === key))
      const column = all[row]?.cells.findIndex(({ item }) => item.key === key) ?? 0
      const cells = all.slice(0).at(row + by < 0 ? 0 : row + by)?.cells ?? []
      const target = cells[Math.min(column, cells.length - 1)]
      if (target !== undefined) go(list.indexOf(target.item))
    }
    const acts: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => go(at - 1),
      ArrowRight: () => go(at + 1),
      ArrowUp: () => vertical(-1),
      ArrowDown: () => vertical(1),
      Home: () => go(0),
      End: () => go(list.length - 1),
      s: () => void star(tile.run),
      x: () => event.shiftKey ? selectTo(tile.key) : select(tile.key),
      Escape: clearSelection,
      f: () => tile.image === undefined ? undefined : view(tile.image, "gallery"),
      Delete: () => {
        const gone = selected.value.has(tile.key) ? selection.value.runs : [tile.run]
        const others = ({ run }: Tile) => !gone.some(({ id }) => id === run.id)
        const neighbour = list.slice(at).find(others) ?? list.slice(0, at).findLast(others)
        remove(gone)
        wanted.current = neighbour?.key
        reached.value = neighbour?.key ?? ""
      }
    }
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (act === undefined) return
    event.preventDefault()
    act()
  }

  const cells = visible.flatMap(({ cells }) => cells)
  const tabbable = cells.some(({ item }) => item.key === reached.value) ? reached.value : cells[0]?.item.key
  return (
    <div
      ref={box}
      class={isChoosing.value ? "gallery choosing" : "gallery"}
      style={{ height: `${height}px` }}
      onKeyDown={onKeyDown}
    >
      {byDay(visible).map(([day, rows]) => (
        <section key={day} aria-label={day}>
          <h3 style={{ transform: `translateY(${rows[0]?.headingTop ?? 0}px)` }}>{day}</h3>
          <ul>
            {rows.flatMap(({ cells }) => cells).map((cell, i, cells) => (
              <Thumb
                key={cell.item.key}
                cell={cell}
                isJoined={cells[i + 1]?.top === cell.top && cells[i + 1]?.item.run.id === cell.item.run.id}
                isReached={cell.item.key === tabbable}
                onFocus={() => {
                  reached.value = cell.item.key
                }}
              />
            ))}
          </ul>
        </section>
      ))}
    </div>
  )
}

export const Gallery = () => {
  const isOpen = useSignal(false)
  const isEmpty = tiles.value.length === 0
  if (isEmpty && !isFiltered.value && unavailable.value === undefined && !hasMore.value) return null
  return (
    <section class="results" aria-label="Images">
      <Filters
        isOpen={isOpen.value}
        onOpen={() => {
          isOpen.value = !isOpen.value
        }}
      />
      {unavailable.value === undefined ? null : (
        <p class="small away">
          {unavailable} <button type="button" class="button low" onClick={() => void refresh()}>Try again</button>
        </p>
      )}
      {isEmpty && isFiltered.value && !hasMore.value ? <p class="muted small">No image fits.</p> : null}
      <Selection />
      <Grid />
    </section>
  )
}
