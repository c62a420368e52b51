/**
 * Helpers for names and numbers in text.
 */

/** The known name closest to a mistyped one (edit distance), or none when nothing is near. */
export const nearest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const wanted = name.slice(0, 80).toLowerCase()
  let best: string | undefined
  let least = Math.max(2, Math.ceil(wanted.length / 2))
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

const editDistance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[b.length] ?? 0
}

/** A sentence for an error about an unknown name: the nearest known one, and all of them. */
export const didYouMean = (name: string, known: ReadonlyArray<string>): string => {
  const near = nearest(name, known)
  return `${near === undefined ? "" : `Did you mean "${near}"? `}Known: ${known.join(", ")}.`
}

/**
 * A number as Python's `repr` writes a float: whole numbers keep their `.0`, exponents have two digits at least.
 */
export const pythonFloat = (value: number): string => {
  if (Number.isNaN(value)) return "nan"
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf"
  if (Object.is(value, -0)) return "-0.0"
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [mantissa, exponent = "0"] = value.toExponential().split("e")
    const sign = exponent.startsWith("-") ? "-" : "+"
    return `${mantissa}e${sign}${exponent.replace(/^[+-]/, "").padStart(2, "0")}`
  }
  const text = String(value)
  return Number.isInteger(value) ? `${text}.0` : text
}
