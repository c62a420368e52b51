/**
 * Measures how far images differ where the same request is computed in another way: as a row of a batch and alone, with
 * another number of threads, or by a processor with other instructions.
 *
 * ```text
 * node test/conformance/machines.ts [processor ...]
 * ```
 *
 * Processors are those of `qemu-x86_64 -cpu help` (Debian: `apt-get install qemu-user`), such as `Haswell` (AVX2, FMA)
 * and `Nehalem` (no AVX). The figures are in docs/conformance.md.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import sharp from "sharp"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

interface Run {
  readonly arguments: ReadonlyArray<string>
  /** A processor that qemu imitates. */
  readonly processor?: string
}

// The images of a run, as samples of 8 bits.
const images = async (folder: string, run: Run): Promise<ReadonlyArray<Uint8Array>> => {
  const [file, ...rest] = [
    ...(run.processor === undefined ? [] : ["qemu-x86_64", "-cpu", run.processor]),
    process.execPath,
    main,
    "txt2img",
    "a red circle",
    ...run.arguments,
    "--outdir",
    folder,
    "--set",
    "save_to_dirs=false",
    "--quiet"
  ]
  execFileSync(file ?? "", rest, { stdio: ["ignore", "ignore", "ignore"] })
  const files = readdirSync(folder).filter((file) => file.endsWith(".png")).toSorted()
  return Promise.all(files.map(async (file) => new Uint8Array(await sharp(join(folder, file)).raw().toBuffer())))
}

interface Difference {
  /** Largest difference of two samples, in levels of 255. */
  readonly largest: number
  /** Samples that differ. */
  readonly count: number
  readonly samples: number
}

const compare = (a: Uint8Array | undefined, b: Uint8Array | undefined): Difference => {
  if (a === undefined || b === undefined || a.length !== b.length) throw new Error("the images have different sizes")
  const differences = a.map((value, i) => Math.abs(value - (b[i] ?? 0)))
  return {
    largest: differences.reduce((most, each) => Math.max(most, each), 0),
    count: differences.reduce((sum, each) => sum + Number(each > 0), 0),
    samples: a.length
  }
}

const withFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "serena-machines-"))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What is generated on both processors. */
interface Picture {
  readonly sampler: string
  /** Pixels of a side. */
  readonly side: number
  readonly steps: number
}

const smallest: Picture = { sampler: "Euler", side: 64, steps: 2 }

/** The same image on this processor and on one that qemu imitates. */
export const compareProcessors = (
  processor: string,
  { sampler, side, steps }: Picture = smallest
): Promise<Difference> =>
  withFolder(async (folder) => {
    const size = ["--width", `${side}`, "--height", `${side}`]
    const request = ["--sampler", sampler, "--steps", `${steps}`, "--seed", "7", ...size]
    const [here] = await images(join(folder, "here"), { arguments: request })
    const [there] = await images(join(folder, "there"), { arguments: request, processor })
    return compare(here, there)
  })

/** An image as a row of a batch of 4 and alone, and with one thread and two. */
const compareCalls = (sampler: string) =>
  withFolder(async (folder) => {
    const common = ["--steps", "20", "--seed", "7", "--sampler", sampler]
    const first = async (name: string, more: ReadonlyArray<string>) =>
      (await images(join(folder, name), { arguments: [...common, ...more] }))[0]
    return {
      batch: compare(await first("alone", []), await first("batch", ["--batch-size", "4"])),
      threads: compare(await first("one", ["--threads", "1"]), await first("two", ["--threads", "2"]))
    }
  })

const samplers = ["Euler", "DPM++ 2M", "DPM++ SDE", "DPM adaptive"]

if (import.meta.main) {
  const print = (name: string, { count, largest, samples }: Difference) =>
    process.stdout.write(`${name}: largest difference ${largest} of 255, ${count} of ${samples} samples differ\n`)
  for (const sampler of samplers) {
    const { batch, threads } = await compareCalls(sampler)
    print(`${sampler}, a row of a batch of 4 and alone`, batch)
    print(`${sampler}, one thread and two`, threads)
  }
  for (const processor of process.argv.slice(2)) {
    const whole = samplers.map((sampler): Picture => ({ sampler, side: 128, steps: 8 }))
    for (const picture of [smallest, ...whole]) {
      const { sampler, side, steps } = picture
      const difference = await compareProcessors(processor, picture)
      print(`${sampler}, ${side}x${side}, ${steps} steps, here and on ${processor}`, difference)
    }
  }
}
