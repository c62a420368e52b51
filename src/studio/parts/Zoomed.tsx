/**
 * An image that the wheel, two fingers or a double click enlarge, and that is dragged once it is larger than its frame.
 */
import type { ComponentChildren } from "preact"
import { useRef } from "preact/hooks"
import { moveBy, showWhole, zoom, zoomBy } from "../state/zoom.ts"

export const Zoomed = ({ children }: { readonly children: ComponentChildren }) => {
  const box = useRef<HTMLDivElement>(null)
  const pointers = useRef(new Map<number, PointerEvent>())
  const fromMiddle = ({ clientX, clientY }: { readonly clientX: number; readonly clientY: number }) => {
    const rect = box.current?.getBoundingClientRect()
    return rect === undefined
      ? [0, 0] as const
      : [clientX - rect.left - rect.width / 2, clientY - rect.top - rect.height / 2] as const
  }
  const distance = () => {
    const [a, b] = [...pointers.current.values()]
    return a === undefined || b === undefined ? undefined : Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)
  }
  const { scale, x, y } = zoom.value
  return (
    <div
      ref={box}
      class={scale > 1 ? "zoomed large" : "zoomed"}
      onWheel={(event) => {
        event.preventDefault()
        zoomBy(Math.exp(-event.deltaY / 400), ...fromMiddle(event))
      }}
      onDblClick={(event) => scale > 1 ? showWhole() : zoomBy(3, ...fromMiddle(event))}
      onDragStart={(event) => event.preventDefault()}
      onPointerDown={(event) => {
        pointers.current.set(event.pointerId, event)
        if (scale > 1) event.currentTarget.setPointerCapture(event.pointerId)
      }}
      onPointerMove={(event) => {
        const last = pointers.current.get(event.pointerId)
        if (last === undefined) return
        const before = distance()
        pointers.current.set(event.pointerId, event)
        const after = distance()
        if (before === undefined || after === undefined) {
          moveBy(
            event.clientX - last.clientX,
            event.clientY - last.clientY
          )
        } else zoomBy(after / before, ...fromMiddle(event))
      }}
      onPointerUp={({ pointerId }) => pointers.current.delete(pointerId)}
      onPointerCancel={({ pointerId }) => pointers.current.delete(pointerId)}
    >
      <div style={{ transform: `translate(${x}px, ${y}px) scale(${scale})` }}>{children}</div>
    </div>
  )
}
