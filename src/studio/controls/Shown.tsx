/**
 * An image of the gallery: the server's file, or this browser's copy once the server has discarded it.
 */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import * as blobs from "../state/blobs.ts"
import type { GalleryImage } from "../state/gallery.ts"

export const Shown = (
  { isLarge = false, image }: { readonly image: GalleryImage; readonly isLarge?: boolean | undefined }
) => {
  const copy = useSignal<string | undefined>(undefined)
  useEffect(() => () => {
    if (copy.peek() !== undefined) URL.revokeObjectURL(copy.peek() ?? "")
    copy.value = undefined
  }, [image.key])
  const onError = async () => {
    if (copy.value !== undefined) return
    const blob = await blobs.get(`image/${image.key}`)
    if (blob !== undefined) copy.value = URL.createObjectURL(blob)
  }
  return (
    <img
      src={copy.value ?? image.url}
      width={image.width}
      height={image.height}
      alt={image.prompt === "" ? "An image without a prompt" : image.prompt}
      loading={isLarge ? "eager" : "lazy"}
      decoding="async"
      style={isLarge ? { "--natural": `${image.width}px` } : {}}
      onError={() => void onError()}
    />
  )
}
