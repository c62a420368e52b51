/**
 * Infotexts that are pasted: the page offers to fill the form with them.
 *
 * The server reads infotexts of files, so a text is sent in the smallest one.
 */
import * as api from "../api.ts"
import { complain, offer } from "./notices.ts"
import { apply } from "./transfer.ts"

/** Whether a text looks like the infotext of an image. */
export const isInfotext = (text: string): boolean => /(?:^|\n|, )Steps: \d+, .*Seed: \d+/.test(text)

const crc = (bytes: Uint8Array): number => {
  let sum = ~0
  for (const byte of bytes) {
    sum ^= byte
    for (let i = 0; i < 8; i++) sum = sum & 1 ? sum >>> 1 ^ 0xedb88320 : sum >>> 1
  }
  return ~sum >>> 0
}

const number = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

/** Length of the last chunk of a PNG file, in bytes. */
const endLength = 12

// A PNG file of one pixel with the text in an iTXt chunk of the name that infotexts have.
const fileWith = async (text: string): Promise<Blob> => {
  const canvas = new OffscreenCanvas(1, 1)
  canvas.getContext("2d")
  const plain = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer())
  const chunk = new TextEncoder().encode(`iTXtparameters\0\0\0\0\0${text}`)
  return new Blob([
    plain.slice(0, -endLength),
    Uint8Array.from([...number(chunk.length - 4), ...chunk, ...number(crc(chunk))]),
    plain.slice(-endLength)
  ], { type: "image/png" })
}

const takeOver = async (text: string) => {
  try {
    const { problems, request } = await api.pngInfo(await fileWith(text))
    if (request !== null) await apply(request)
    if (problems.length > 0) complain(problems.map(({ message }) => message).join(" "))
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error))
  }
}

/** Offers to fill the form with an infotext. */
export const offerInfotext = (text: string) =>
  offer("What you pasted is the infotext of an image.", "Use its settings", () => void takeOver(text))
