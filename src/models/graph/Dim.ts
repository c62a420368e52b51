/**
 * Sizes of values along one axis, while their numbers are not known: a name such as `height`, a multiple or part of
 * one such as `height*8` and `width/2`, a product such as `height*width*3/4`.
 *
 * Parts are exact only for sizes that divide, as those of images and latents do.
 */
export type Dim = number | string

/** The name of a size that is 1, or as many as there are rows in a batch. */
export const oneOrBatch = "steps"

// A product of names, times a fraction.
interface Monomial {
  readonly numerator: number
  readonly denominator: number
  readonly names: ReadonlyArray<string>
}

const parse = (dim: Dim): Monomial => {
  if (typeof dim === "number") return { numerator: dim, denominator: 1, names: [] }
  const [product = "", denominator = "1"] = dim.split("/")
  const terms = product.split("*")
  const isNumber = (term: string) => /^\d+$/.test(term)
  return {
    numerator: terms.filter(isNumber).reduce((all, number) => all * Number(number), 1),
    denominator: Number(denominator),
    names: terms.filter((term) => !isNumber(term))
  }
}

const format = (monomial: Monomial): Dim => {
  const { names } = monomial
  const common = commonDivisor(monomial.numerator, monomial.denominator)
  const [numerator, denominator] = [monomial.numerator / common, monomial.denominator / common]
  if (names.length === 0) return numerator / denominator
  return [...names.toSorted(), ...(numerator === 1 ? [] : [numerator])].join("*") +
    (denominator === 1 ? "" : `/${denominator}`)
}

const commonDivisor = (a: number, b: number): number => b === 0 ? a || 1 : commonDivisor(b, a % b)

/** The product of sizes, in one spelling for each: `times("width", "height", 4)` is `height*width*4`. */
export const times = (...dims: ReadonlyArray<Dim>): Dim => {
  const monomials = dims.map(parse)
  return format({
    numerator: monomials.reduce((all, { numerator }) => all * numerator, 1),
    denominator: monomials.reduce((all, { denominator }) => all * denominator, 1),
    names: monomials.flatMap(({ names }) => names)
  })
}

/** A part of a size: `over("height", 2)` is `height/2`. */
export const over = (dim: Dim, divisor: number): Dim => {
  const { denominator, ...rest } = parse(dim)
  return format({ ...rest, denominator: denominator * divisor })
}

/** Sizes as messages show them. */
export const shown = (dims: ReadonlyArray<Dim | undefined>): string => `[${dims.map((dim) => dim ?? "any").join(", ")}]`
