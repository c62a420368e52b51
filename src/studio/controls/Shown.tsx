/**
 * A picture of the gallery: the server's file, or the copy that is kept here once the server has forgotten it.
 */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import * as blobs from "../state/blobs.ts"
import type { Picture } from "../state/pictures.ts"

export const Shown = (
  { isLarge = false, picture }: { readonly picture: Picture; readonly isLarge?: boolean | undefined }
) => {
  const copy = useSignal<string | undefined>(undefined)
  useEffect(() => () => {
    if (copy.peek() !== undefined) URL.revokeObjectURL(copy.peek() ?? "")
    copy.value = undefined
  }, [picture.key])
  const onError = async () => {
    if (copy.value !== undefined) return
    const blob = await blobs.get(`picture/${picture.key}`)
    if (blob !== undefined) copy.value = URL.createObjectURL(blob)
  }
  return (
    <img
      src={copy.value ?? picture.url}
      width={picture.width}
      height={picture.height}
      alt={picture.prompt === "" ? "A picture without a prompt" : picture.prompt}
      loading={isLarge ? "eager" : "lazy"}
      decoding="async"
      style={isLarge ? { "--natural": `${picture.width}px` } : {}}
      onError={() => void onError()}
    />
  )
}
