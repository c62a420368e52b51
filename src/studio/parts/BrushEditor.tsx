/**
 * A brush over an init image. On the image to inpaint it paints the mask, whose areas are regenerated; on that of
 * image-to-image it sketches in colour, and the result is what is started from.
 *
 * It supports mouse, pen, touch and keyboard: arrow keys move the brush, Space paints.
 */
import { useSignal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { Icon, type IconName } from "../controls/Icon.tsx"
import { brushes } from "../state/brush.ts"
import { clearProblems } from "../state/problems.ts"
import { apply, painted, redo, type Source, type SourceKind, undo, undone } from "../state/source.ts"
import { drawColored, drawStriped, isEmpty, sketched, type Stroke } from "../state/strokes.ts"

const Tool = ({ icon, isOn, label, onClick, ...rest }: {
  readonly icon: IconName
  readonly label: string
  readonly isOn?: boolean | undefined
  readonly disabled?: boolean | undefined
  readonly onClick: () => void
}) => (
  <button
    type="button"
    class="button quiet low square"
    aria-label={label}
    title={label}
    aria-pressed={isOn}
    onClick={onClick}
    {...rest}
  >
    <Icon name={icon} />
  </button>
)

/** Resolution of the mask as shown: pixels along the longer side. */
const shownSide = 1024

interface Place {
  readonly x: number
  readonly y: number
}

const words = {
  inpaint: { layer: "Mask", clear: "Clear the mask", image: "Image to inpaint" },
  img2img: { layer: "Sketch", clear: "Clear the sketch", image: "Init image" }
}

const keys = "Arrows move the brush, Space paints, brackets change its size, E erases, + and - zoom."

const two = (value: number) => value.toString(16).padStart(2, "0")

export const BrushEditor = ({ kind, source }: { readonly kind: SourceKind; readonly source: Source }) => {
  const brush = brushes[kind]
  const isSketch = kind === "img2img"
  const { clear, image, layer } = words[kind]
  const operations = painted.value[kind]
  const isPicking = useSignal(false)
  const canvas = useRef<HTMLCanvasElement>(null)
  const stroke = useRef<Omit<Stroke, "kind" | "points"> & { points: Array<number> } | undefined>(undefined)
  const zoom = useSignal(1)
  const zoomBy = (factor: number) => {
    zoom.value = Math.min(8, Math.max(1, zoom.value * factor))
  }
  const cursor = useSignal<Place | undefined>(undefined)
  const { height, width } = source
  const longest = Math.max(width, height)
  const size = Math.max(1, Math.round(brush.value.share * longest))

  const redraw = (extra?: Stroke) => {
    const surface = canvas.current?.getContext("2d")
    if (surface !== undefined && surface !== null) {
      const drawn = extra === undefined ? operations : [...operations, extra]
      if (isSketch) drawColored(surface, drawn, width)
      else drawStriped(surface, drawn, width)
    }
  }
  useEffect(() => redraw(), [operations, source])

  const placeOf = (event: PointerEvent): Place => {
    const box = canvas.current?.getBoundingClientRect()
    if (box === undefined) return { x: 0, y: 0 }
    return {
      x: Math.round((event.clientX - box.left) / box.width * width * 10) / 10,
      y: Math.round((event.clientY - box.top) / box.height * height * 10) / 10
    }
  }

  const pick = async ({ x, y }: Place) => {
    isPicking.value = false
    const { surface } = await sketched(source.blob, operations)
    const at = (value: number, most: number) => Math.min(most - 1, Math.max(0, Math.floor(value)))
    const [red = 0, green = 0, blue = 0] = surface.getImageData(at(x, width), at(y, height), 1, 1).data
    brush.value = { ...brush.value, erases: false, color: `#${two(red)}${two(green)}${two(blue)}` }
  }

  const begin = (place: Place) => {
    if (isPicking.value) return void pick(place)
    if (!isSketch) clearProblems(["mask"])
    const { color, erases } = brush.value
    stroke.current = { points: [place.x, place.y], erases, size, ...(isSketch && { color }) }
    redraw({ kind: "stroke", ...stroke.current })
  }
  const goOn = (place: Place) => {
    if (stroke.current === undefined) return
    stroke.current.points.push(place.x, place.y)
    redraw({ kind: "stroke", ...stroke.current })
  }
  const finish = () => {
    if (stroke.current !== undefined) apply(kind, { kind: "stroke", ...stroke.current })
    stroke.current = undefined
  }

  const resize = (factor: number) => {
    brush.value = { ...brush.value, share: Math.min(0.5, Math.max(0.005, brush.value.share * factor)) }
  }

  const onKey = (event: KeyboardEvent) => {
    // The toolbar's own keys move its slider and press its buttons.
    const isOnTools = event.target !== canvas.current
    if (isOnTools && (event.key === " " || event.key.startsWith("Arrow"))) return
    const at = cursor.value ?? { x: width / 2, y: height / 2 }
    const stepBy = Math.max(1, longest / (event.shiftKey ? 8 : 40))
    const moves: Readonly<Record<string, Place>> = {
      ArrowLeft: { x: -stepBy, y: 0 },
      ArrowRight: { x: stepBy, y: 0 },
      ArrowUp: { x: 0, y: -stepBy },
      ArrowDown: { x: 0, y: stepBy }
    }
    const move = moves[event.key]
    if (move !== undefined) {
      const next = {
        x: Math.min(width, Math.max(0, at.x + move.x)),
        y: Math.min(height, Math.max(0, at.y + move.y))
      }
      cursor.value = next
      goOn(next)
    } else if (event.key === " ") {
      if (stroke.current === undefined) begin(at)
    } else if (event.key === "+") zoomBy(1.5)
    else if (event.key === "-") zoomBy(1 / 1.5)
    else if (event.key === "[") resize(1 / 1.25)
    else if (event.key === "]") resize(1.25)
    else if (event.key === "e" && !event.ctrlKey && !event.metaKey) {
      brush.value = { ...brush.value, erases: !brush.value.erases }
    } else if (isSketch && event.key === "i" && !event.ctrlKey && !event.metaKey) isPicking.value = !isPicking.value
    else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      if (event.shiftKey) redo(kind)
      else undo(kind)
    } else return
    event.preventDefault()
  }

  const at = cursor.value
  // After a click on a tool the keys go to the brush again.
  const giveBack = ({ detail, target }: MouseEvent) => {
    if (detail > 0 && target instanceof Element && target.closest("button") !== null) {
      canvas.current?.focus({ preventScroll: true })
    }
  }
  return (
    <div onKeyDown={onKey}>
      <div
        class={isSketch ? "mask-stage sketch" : "mask-stage"}
        onWheel={(event) => {
          if (!event.ctrlKey) return
          event.preventDefault()
          zoomBy(Math.exp(-event.deltaY / 400))
        }}
      >
        <div style={{ "--shape": width / height, "--zoom": zoom.value }}>
          <img src={source.url} alt={`${image}, ${source.name}`} draggable={false} />
          <canvas
            ref={canvas}
            width={Math.round(width / longest * shownSide)}
            height={Math.round(height / longest * shownSide)}
            tabIndex={0}
            role="application"
            aria-label={`${layer}. ${keys}`}
            onPointerDown={(event) => {
              if (event.button !== 0 || !event.isPrimary) return
              event.currentTarget.setPointerCapture(event.pointerId)
              event.currentTarget.focus({ preventScroll: true })
              begin(placeOf(event))
            }}
            onPointerMove={(event) => {
              cursor.value = placeOf(event)
              if (stroke.current === undefined || !event.isPrimary) return
              for (const part of event.getCoalescedEvents?.() ?? [event]) goOn(placeOf(part))
            }}
            onPointerUp={finish}
            onPointerCancel={finish}
            onPointerLeave={() => {
              if (stroke.current === undefined) cursor.value = undefined
            }}
            onFocus={() => {
              cursor.value ??= { x: width / 2, y: height / 2 }
            }}
            onBlur={() => {
              finish()
              cursor.value = undefined
            }}
            onKeyUp={({ key }) => {
              if (key === " ") finish()
            }}
          />
          {at === undefined ? null : (
            <span
              class="mask-cursor"
              style={{
                left: `${at.x / width * 100}%`,
                top: `${at.y / height * 100}%`,
                width: `${size / width * 100}%`,
                height: `${size / height * 100}%`
              }}
            />
          )}
        </div>
      </div>
      <div class="mask-tools" role="toolbar" aria-label="Brush" onClick={giveBack}>
        <Tool
          icon="brush"
          label="Paint"
          isOn={!brush.value.erases}
          onClick={() => {
            brush.value = { ...brush.value, erases: false }
          }}
        />
        <Tool
          icon="erase"
          label="Erase"
          isOn={brush.value.erases}
          onClick={() => {
            brush.value = { ...brush.value, erases: true }
          }}
        />
        {isSketch
          ? (
            <>
              <input
                type="color"
                class="color"
                aria-label="Colour"
                title="Colour"
                value={brush.value.color}
                onInput={({ currentTarget }) => {
                  brush.value = { ...brush.value, erases: false, color: currentTarget.value }
                }}
              />
              <Tool
                icon="pick"
                label="Take a colour from the image (I)"
                isOn={isPicking.value}
                onClick={() => {
                  isPicking.value = !isPicking.value
                }}
              />
            </>
          )
          : null}
        <label class="brush">
          <span class="unseen">Brush size</span>
          <input
            class="slider"
            type="range"
            min={0.5}
            max={50}
            step={0.5}
            value={brush.value.share * 100}
            style={{ "--done": `${(brush.value.share * 100 - 0.5) / 49.5 * 100}%` }}
            aria-valuetext={`${size} pixels`}
            onInput={({ currentTarget }) => {
              brush.value = { ...brush.value, share: Number(currentTarget.value) / 100 }
            }}
          />
          <output>{size} px</output>
        </label>
        <Tool icon="more" label="Zoom in" disabled={zoom.value >= 8} onClick={() => zoomBy(1.5)} />
        <Tool icon="less" label="Zoom out" disabled={zoom.value === 1} onClick={() => zoomBy(1 / 1.5)} />
        <Tool icon="undo" label="Undo" disabled={operations.length === 0} onClick={() => undo(kind)} />
        <Tool icon="redo" label="Redo" disabled={undone.value[kind].length === 0} onClick={() => redo(kind)} />
        {isSketch
          ? null
          : <Tool icon="invert" label="Invert the mask" onClick={() => apply(kind, { kind: "invert" })} />}
        <Tool
          icon="clear"
          label={clear}
          disabled={isEmpty(operations)}
          onClick={() => apply(kind, { kind: "clear" })}
        />
      </div>
    </div>
  )
}
