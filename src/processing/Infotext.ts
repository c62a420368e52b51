/**
 * The text that tells how a picture was made, in stable-diffusion-webui's format: prompt, negative prompt, and one line
 * of `Key: value` pairs. It is stored in the picture (PNG `parameters` chunk) and read by every tool of that family.
 */

/** A pair's value: a string, an integer, or a `Float`, which is written as Python writes it (`7.0`). */
export type InfotextValue = string | number | Float | undefined

export interface Float {
  readonly float: number
}

export const float = (value: number): Float => ({ float: value })

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

/** A value as it stands after its key: quoted as JSON when it holds a comma, a colon or a newline. */
export const quote = (value: string): string => /[,:\n]/.test(value) ? JSON.stringify(value) : value

/**
 * The whole text. Pairs keep their order; those whose value is `undefined` are left out, and a value that equals its key
 * leaves the bare key.
 */
export const format = (options: {
  readonly prompt: string
  readonly negativePrompt: string
  readonly parameters: ReadonlyArray<readonly [key: string, value: InfotextValue]>
}): string => {
  const pairs = options.parameters.flatMap(([key, value]) => {
    if (value === undefined) return []
    if (value === key) return [key]
    const text = typeof value === "object" ? pythonFloat(value.float) : quote(String(value))
    return [`${key}: ${text}`]
  })
  const negative = options.negativePrompt === "" ? "" : `\nNegative prompt: ${options.negativePrompt}`
  return `${options.prompt}${negative}\n${pairs.join(", ")}`.trim()
}
