/**
 * Makes the pictures on the how-to pages: `node test/docs/illustrations.ts`.
 *
 * The commands of a page's section are typed as they stand there, and the files that they make are laid side by side.
 */
import * as Effect from "effect/Effect"
import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import sharp from "sharp"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { pages, project } from "./pages.ts"
import { follow, installCheckout, inTemporaryFolder, nodeFolder } from "./session.ts"

interface Illustration {
  readonly page: string
  readonly section: string
  /** Name in docs/images. */
  readonly name: string
  /** From left to right. */
  readonly files: ReadonlyArray<string>
  /** How often each is laid beside and below itself. */
  readonly repeat?: number
  /** Whether a thin line goes around each, so that white ones are seen on white pages. */
  readonly framed?: boolean
}

const illustrations: ReadonlyArray<Illustration> = [
  {
    page: "prompts",
    section: "Attention weights",
    name: "emphasis",
    files: ["0.5.png", "1.0.png", "1.5.png", "2.0.png"]
  },
  { page: "prompts", section: "Prompt editing", name: "editing", files: ["6.png", "14.png", "16.png", "18.png"] },
  {
    page: "image-to-image",
    section: "Image-to-image",
    name: "img2img",
    files: ["circle.png", "0.05.png", "0.1.png", "0.3.png"]
  },
  {
    page: "image-to-image",
    section: "Inpainting",
    name: "inpainting",
    files: ["pair.png", "mask.bmp", "made.png"],
    framed: true
  },
  { page: "larger-images", section: "Hires fix", name: "hires", files: ["at-once.png", "twice.png"] },
  {
    page: "larger-images",
    section: "Seamless tiling",
    name: "seamless",
    files: ["plain.png", "seamless.png"],
    repeat: 2
  }
]

/** Pixels between two pictures. */
const gap = 8

/** A file as a picture of its own. */
const read = async (path: string, frame: number) => {
  const { decode } = await Effect.runPromise(Effect.provide(ImageDecoder, ImageDecoder.layer))
  const { channels, data, height, width } = await Effect.runPromise(decode(await readFile(path), Limits.make({})))
  const picture = sharp(data, { raw: { width, height, channels } })
    .extend({ top: frame, bottom: frame, left: frame, right: frame, background: "#808080" })
  return { width: width + 2 * frame, height: height + 2 * frame, png: await picture.png().toBuffer() }
}

/** The pictures of an illustration side by side. */
const draw = async (folder: string, { files, framed, name, repeat = 1 }: Illustration) => {
  const pictures = await Promise.all(files.map((file) => read(join(folder, file), framed === true ? 1 : 0)))
  const width = Math.max(...pictures.map(({ width }) => width)) * repeat
  const height = Math.max(...pictures.map(({ height }) => height)) * repeat
  const out = join(project, `docs/images/${name}.png`)
  await sharp({
    create: {
      width: files.length * (width + gap) - gap,
      height,
      channels: 4,
      background: { r: 0, g: 0, b: 0, alpha: 0 }
    }
  })
    .composite(pictures.flatMap((picture, column) =>
      Array.from({ length: repeat * repeat }, (_, place) => ({
        input: picture.png,
        left: column * (width + gap) + place % repeat * picture.width,
        top: Math.floor(place / repeat) * picture.height
      }))
    ))
    .png({ palette: true, quality: 95, effort: 10 })
    .toFile(out)
  process.stdout.write(`${out}: ${(await stat(out)).size} bytes\n`)
}

const all = pages()
for (const illustration of illustrations) {
  const path = `docs/how-to/${illustration.page}.md`
  const blocks = all.find((page) => page.path === path)?.blocks.filter(({ section }) =>
    section === illustration.section
  )
  if (blocks === undefined || blocks.length === 0) throw new Error(`${path} has no section "${illustration.section}"`)
  await inTemporaryFolder(async (folder) => {
    const differences = await follow(blocks, {
      folder,
      path: [await installCheckout(folder), nodeFolder],
      passedOver: () => false
    })
    if (differences.length > 0) throw new Error(differences.join("\n"))
    await draw(folder, illustration)
  })
}
