/**
 * The seed: a number, random, or the seed of the latest image.
 */
import { Icon } from "../controls/Icon.tsx"
import { SeedInput } from "../controls/inputs.tsx"
import { change, lastSeed } from "../state/form.ts"

export const Seed = () => (
  <SeedInput name="seed">
    <button
      type="button"
      class="button square"
      aria-label="Use a random seed"
      title="Use a random seed"
      onClick={() => change({ seed: -1 })}
    >
      <Icon name="dice" />
    </button>
    <button
      type="button"
      class="button square"
      aria-label="Use the last image's seed"
      title={lastSeed.value === undefined
        ? "There is no image yet"
        : `Use the last image's seed, ${lastSeed.value}`}
      disabled={lastSeed.value === undefined}
      onClick={() => change({ seed: lastSeed.value ?? -1 })}
    >
      <Icon name="reuse" />
    </button>
  </SeedInput>
)
