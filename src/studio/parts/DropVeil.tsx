/**
 * The overlay with drop targets, shown while a file is dragged over the page: four, and one for each ControlNet of the
 * form. A file dropped elsewhere goes to the open tab if that takes an init image, or else to PNG info.
 */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { Icon, type IconName } from "../controls/Icon.tsx"
import { closeViewer, draggedImage, type GalleryImage, imageByKey } from "../state/gallery.ts"
import { asFile, inspect, named, receive, startFrom, startUpscale } from "../state/transfer.ts"
import { isKind, tab } from "../state/ui.ts"
import { follow, units } from "../state/units.ts"

interface Place {
  readonly id: string
  readonly icon: IconName
  readonly label: string
}

const places: ReadonlyArray<Place> = [
  { id: "info", icon: "info", label: "Read infotext" },
  { id: "img2img", icon: "image", label: "Use as init image" },
  { id: "inpaint", icon: "mask", label: "Inpaint" },
  { id: "upscale", icon: "up", label: "Upscale" }
]

const unitPrefix = "unit "

const placesOfUnits = (): ReadonlyArray<Place> =>
  isKind(tab.value)
    ? units.value.map(({ id }, i) => ({ id: unitPrefix + id, icon: "lines", label: `Follow in ControlNet ${i + 1}` }))
    : []

const hasFile = ({ dataTransfer }: DragEvent): boolean =>
  dataTransfer?.types.some((type) => type === "Files" || type === draggedImage) === true

const placeOf = (event: DragEvent): string | undefined =>
  event.target instanceof Element
    ? event.target.closest("[data-place]")?.getAttribute("data-place") ?? undefined
    : undefined

export const DropVeil = () => {
  const isDragging = useSignal(false)
  const over = useSignal<string | undefined>(undefined)
  useEffect(() => {
    const onEnter = (event: DragEvent) => {
      if (!hasFile(event)) return
      event.preventDefault()
      closeViewer()
      isDragging.value = true
    }
    const onOver = (event: DragEvent) => {
      if (!hasFile(event)) return
      event.preventDefault()
      over.value = placeOf(event)
    }
    const onLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) isDragging.value = false
    }
    const onDrop = (event: DragEvent) => {
      const dropped = [...event.dataTransfer?.files ?? []]
      const image = imageByKey(event.dataTransfer?.getData(draggedImage) ?? "")
      isDragging.value = false
      if (dropped.length === 0 && image === undefined) return
      event.preventDefault()
      void take(placeOf(event), dropped, image)
    }
    const take = async (place: string | undefined, dropped: ReadonlyArray<File>, image: GalleryImage | undefined) => {
      const own = image === undefined ? undefined : await asFile(image)
      const files = own === undefined ? dropped : [own]
      const [file] = files
      if (file === undefined) return
      if (place === "img2img" || place === "inpaint") void startFrom(named(files), place)
      else if (place?.startsWith(unitPrefix) === true) void follow(place.slice(unitPrefix.length), file, file.name)
      else if (place === "upscale") void startUpscale(file, file.name)
      else if (place === "info") void inspect(file, file.name)
      else void receive(files)
    }
    addEventListener("dragenter", onEnter)
    addEventListener("dragover", onOver)
    addEventListener("dragleave", onLeave)
    addEventListener("drop", onDrop)
    return () => {
      removeEventListener("dragenter", onEnter)
      removeEventListener("dragover", onOver)
      removeEventListener("dragleave", onLeave)
      removeEventListener("drop", onDrop)
    }
  }, [])
  if (!isDragging.value) return null
  return (
    <div class="drop-veil" aria-hidden="true">
      {[...places, ...placesOfUnits()].map(({ icon, id, label }) => (
        <div key={id} data-place={id} class={over.value === id ? "over" : ""}>
          <Icon name={icon} />
          {label}
        </div>
      ))}
    </div>
  )
}
