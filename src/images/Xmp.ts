/**
 * The one thing of XMP that matters here: the user comment, where Draw Things keeps the parameters of an image as JSON.
 */

/** The keyword of a PNG text that holds XMP. */
export const keyword = "XML:com.adobe.xmp"

const element = /<exif:UserComment>\s{0,99}<rdf:Alt>\s{0,99}<rdf:li[^>]{0,99}>([^<]*)<\/rdf:li>/

const entities: Readonly<Record<string, string>> = { quot: "\"", amp: "&", lt: "<", gt: ">", apos: "'" }

// Of what is no character, nothing is made.
const characterOf = (code: number): string | undefined =>
  code > 0 && code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF) ? String.fromCodePoint(code) : undefined

const unescaped = (text: string): string =>
  text.replaceAll(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,4}));/gi, (whole, decimal, hex, name) =>
    (name === undefined
      ? characterOf(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
      : entities[name]) ?? whole)

/** The user comment of an XMP document; `undefined` without one. */
export const userComment = (xml: string): string | undefined => {
  const [, text] = element.exec(xml) ?? []
  return text === undefined ? undefined : unescaped(text).trim()
}
