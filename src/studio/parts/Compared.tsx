/**
 * Two images, one over the other, with a slider that uncovers the second.
 */
import { useSignal } from "@preact/signals"

export interface ComparedImage {
  readonly url: string
  readonly label: string
}

export const Compared = ({ after, before }: { readonly before: ComparedImage; readonly after: ComparedImage }) => {
  const at = useSignal(50)
  return (
    <div class="compared">
      <div class="compared-images" style={{ "--at": `${at}%` }}>
        <img src={before.url} alt={before.label} draggable={false} />
        <img src={after.url} alt={after.label} draggable={false} />
        <span class="compared-line" aria-hidden="true" />
      </div>
      <input
        class="slider"
        type="range"
        min={0}
        max={100}
        value={at.value}
        aria-label="How much of the first image is shown"
        style={{ "--done": `${at}%` }}
        onInput={({ currentTarget }) => {
          at.value = Number(currentTarget.value)
        }}
      />
    </div>
  )
}
