/**
 * Helpers for names and numbers in text.
 */

/** Characters of a name that are compared; a longer one is no slip of the pen. */
const longestName = 40

/**
 * The known name that a mistyped one stands for, or none when nothing is near: one that it begins, or the closest by
 * edit distance. Known names are tried in their order, at most 1,000 of them.
 */
export const nearest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const wanted = name.trim().toLowerCase()
  if (wanted === "" || wanted.length > longestName) return undefined
  const candidates = known.slice(0, 1000).map((written) => ({ written, name: written.toLowerCase() }))
  const exact = candidates.find((each) => each.name === wanted)
  if (exact !== undefined) return exact.written
  const begun = wanted.length < 3
    ? undefined
    : candidates.filter((each) => each.name.startsWith(wanted)).toSorted((a, b) => a.name.length - b.name.length)[0]
  if (begun !== undefined) return begun.written
  let best: string | undefined
  // A third of the characters may differ, and no short name is far from all of itself.
  let most = Math.max(1, Math.floor(wanted.length / 3))
  for (const candidate of candidates) {
    if (Math.abs(candidate.name.length - wanted.length) > most) continue
    const distance = editDistance(wanted, candidate.name, most)
    if (distance > most) continue
    best = candidate.written
    most = distance - 1
  }
  return best
}

/** A function that proposes known names for the first `most` unknown ones it is asked about, and then none. */
export const proposer = (known: ReadonlyArray<string>, most = 20): (name: string) => string | undefined => {
  let left = most
  return (name) => left-- > 0 ? nearest(name, known) : undefined
}

// Insertions, deletions and substitutions; any number above `most` once there are more.
const editDistance = (a: string, b: string, most: number): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    let least = row
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      const distance = Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1)
      least = Math.min(least, distance)
      current.push(distance)
    }
    if (least > most) return least
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

/** A size as people read it, in powers of 1000: `6.46 GB`. */
export const fileSize = (bytes: number): string =>
  bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : bytes < 1e9
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : `${(bytes / 1e9).toFixed(2)} GB`
