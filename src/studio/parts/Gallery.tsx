/**
 * The gallery: all images that the server keeps, grouped by day. Only the part in sight is in the document.
 */
import { useComputed, useSignal } from "@preact/signals"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import { Icon } from "../controls/Icon.tsx"
import { Shown } from "../controls/Shown.tsx"
import { models } from "../state/catalogue.ts"
import {
  everything,
  filter,
  filters,
  hasMore,
  isFiltered,
  knownTags,
  more,
  refresh,
  remove,
  star,
  type Tile,
  tiles,
  unavailable,
  view
} from "../state/gallery.ts"
import { again } from "../state/runs.ts"
import { type Cell, gridOf, type Row } from "./grid.ts"

const dayFormat = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" })

const dayName = (time: number): string => {
  const day = dayFormat.format(time)
  const now = Date.now()
  if (day === dayFormat.format(now)) return "Today"
  return day === dayFormat.format(now - 86_400_000) ? "Yesterday" : day
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

const Thumb = ({ cell, isReached, onFocus }: {
  readonly cell: Cell<Tile>
  readonly isReached: boolean
  readonly onFocus: () => void
}) => {
  const { image, key, run } = cell.item
  const { prompt } = run.request
  const reached = { "data-key": key, tabIndex: isReached ? 0 : -1, onFocus }
  return (
    <li class={image === undefined ? "thumb failed" : "thumb"} style={place(cell)}>
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
            aria-label={`Open: ${nameOf(prompt)}, seed ${image.seed}`}
            onClick={() => view(image, "gallery")}
          >
            <Shown image={image} />
          </button>
        )}
      <Star run={run} />
    </li>
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

const Grid = () => {
  const box = useRef<HTMLDivElement>(null)
  const width = useSignal(0)
  // How much of the list is above the window's upper edge, in steps, and the window's height.
  const seen = useSignal({ top: 0, height: 0 })
  const reached = useSignal("")
  const wanted = useRef<string | undefined>(undefined)
  const rows = useComputed(() => gridOf(tiles.value, width.value, (tile) => dayName(tile.run.submitted_at)))

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
    row.cells.some(({ item }) => item.key === reached.value)
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
      f: () => tile.image === undefined ? undefined : view(tile.image, "gallery"),
      Delete: () => {
        const others = ({ run }: Tile) => run.id !== tile.run.id
        const neighbour = list.slice(at).find(others) ?? list.slice(0, at).findLast(others)
        remove(tile.run)
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
    <div ref={box} class="gallery" style={{ height: `${height}px` }} onKeyDown={onKeyDown}>
      {byDay(visible).map(([day, rows]) => (
        <section key={day} aria-label={day}>
          <h3 style={{ transform: `translateY(${rows[0]?.headingTop ?? 0}px)` }}>{day}</h3>
          <ul>
            {rows.flatMap(({ cells }) => cells).map((cell) => (
              <Thumb
                key={cell.item.key}
                cell={cell}
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
      <Grid />
    </section>
  )
}
