/**
 * An image of the gallery: its file, or a small copy.
 */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import type { GalleryImage } from "../state/gallery.ts"
import { isAway } from "../state/queue.ts"

export const Shown = (
  { image, isLarge = false }: { readonly image: GalleryImage; readonly isLarge?: boolean | undefined }
) => {
  const attempt = useSignal(0)
  const isLost = useSignal(false)
  // Of an image whose size is not known before it is loaded.
  const shape = useSignal(1)
  // Once the server answers again, what could not be loaded is asked for anew.
  useEffect(() => {
    if (isAway.value || !isLost.peek()) return
    attempt.value = attempt.peek() + 1
    isLost.value = false
  }, [isAway.value])
  if (isLost.value) {
    return <span class="lost">{isLarge ? "The server does not answer, or no longer has this image." : ""}</span>
  }
  const file = isLarge ? image.url : `${image.url}/thumbnail`
  return (
    <img
      src={attempt.value === 0 ? file : `${file}?again=${attempt.value}`}
      {...image.isPlot ? {} : { width: image.width, height: image.height }}
      alt={image.name}
      loading={isLarge ? "eager" : "lazy"}
      decoding="async"
      style={isLarge ? { "--shape": image.isPlot ? shape.value : image.width / image.height } : {}}
      draggable={false}
      onLoad={({ currentTarget: { naturalHeight, naturalWidth } }) => {
        shape.value = naturalWidth / naturalHeight
      }}
      onError={() => {
        isLost.value = true
      }}
    />
  )
}
