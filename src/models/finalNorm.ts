/**
 * CLIP's final layer norm, for hidden states that it was not applied to.
 *
 * An exported text encoder outputs the last layer's hidden states before and after its final layer norm, but not the
 * norm's weights. They follow from the two: the norm is affine in each channel, so its scale and shift are those of the
 * line through the channel's normalised and given values.
 */

/**
 * Normalises the rows of `states` in place as the norm that made `after` of `before` does. All are `[tokens, width]`;
 * `epsilon` is what the norm adds to a row's variance. The more rows differ, the more exact: 77 tokens give the weights
 * to about float32's own precision.
 */
export const apply = (
  states: Float32Array,
  { after, before, epsilon, width }: {
    readonly before: Float32Array
    readonly after: Float32Array
    readonly width: number
    readonly epsilon: number
  }
): void => {
  const { scale, shift } = fit(normalised(before, width, epsilon), after, width)
  const rows = normalised(states, width, epsilon)
  for (let i = 0; i < states.length; i++) {
    const channel = i % width
    states[i] = (rows[i] as number) * (scale[channel] as number) + (shift[channel] as number)
  }
}

// Each row with mean 0 and variance 1.
const normalised = (rows: Float32Array, width: number, epsilon: number): Float64Array => {
  const out = new Float64Array(rows.length)
  for (let at = 0; at < rows.length; at += width) {
    let sum = 0
    for (let i = 0; i < width; i++) sum += rows[at + i] as number
    const mean = sum / width
    let squares = 0
    for (let i = 0; i < width; i++) squares += ((rows[at + i] as number) - mean) ** 2
    const factor = 1 / Math.sqrt(squares / width + epsilon)
    for (let i = 0; i < width; i++) out[at + i] = ((rows[at + i] as number) - mean) * factor
  }
  return out
}

// Least squares for `y = scale * x + shift` in each channel. A channel that is the same in every row has no slope.
const fit = (x: Float64Array, y: Float32Array, width: number) => {
  const count = x.length / width
  const scale = new Float64Array(width)
  const shift = new Float64Array(width)
  for (let channel = 0; channel < width; channel++) {
    let meanX = 0
    let meanY = 0
    for (let i = channel; i < x.length; i += width) {
      meanX += (x[i] as number) / count
      meanY += (y[i] as number) / count
    }
    let xx = 0
    let xy = 0
    for (let i = channel; i < x.length; i += width) {
      const dx = (x[i] as number) - meanX
      xx += dx * dx
      xy += dx * ((y[i] as number) - meanY)
    }
    const slope = xx > 1e-12 * count ? xy / xx : 0
    scale[channel] = slope
    shift[channel] = meanY - slope * meanX
  }
  return { scale, shift }
}
