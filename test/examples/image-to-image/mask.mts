// mask.mts
import { writeFile } from "node:fs/promises"

/** A 24-bit BMP file: the upper 60 % is white, the rest black. */
const mask = (width: number, height: number): Uint8Array => {
  const row = Math.ceil(width * 3 / 4) * 4
  const file = Buffer.alloc(54 + row * height)
  file.write("BM")
  file.writeUInt32LE(54, 10)
  file.writeUInt32LE(40, 14)
  file.writeInt32LE(width, 18)
  file.writeInt32LE(-height, 22)
  file.writeUInt32LE(0x180001, 26)
  return file.fill(255, 54, 54 + row * Math.round(height * 0.6))
}

await writeFile("mask.bmp", mask(128, 128))
