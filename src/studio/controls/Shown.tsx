/**
 * An image of the gallery.
 */
import type { GalleryImage } from "../state/gallery.ts"

export const Shown = (
  { isLarge = false, image }: { readonly image: GalleryImage; readonly isLarge?: boolean | undefined }
) => (
  <img
    src={image.url}
    width={image.width}
    height={image.height}
    alt={image.prompt === "" ? "An image without a prompt" : image.prompt}
    loading={isLarge ? "eager" : "lazy"}
    decoding="async"
    style={isLarge ? { "--natural": `${image.width}px` } : {}}
  />
)
