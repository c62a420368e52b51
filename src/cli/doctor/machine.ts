/**
 * What `serena doctor` says of the machine: Node, memory, processors, device, clock.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { readFile } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { processorQuota, readSystemFile } from "../../core/controlGroups.ts"
import { packageFile } from "../../core/packageFile.ts"
import { fileSize } from "../../core/Text.ts"
import * as memory from "../../models/availableMemory.ts"
import * as devices from "../../models/devices.ts"
import { embeddedDir } from "../../models/ModelLibrary.ts"
import { Networks } from "../../models/Networks.ts"
import { CommandOptions, type ProcessOptions } from "../../processing/CommandOptions.ts"
import { type Finding, ok, problem, warning } from "./Finding.ts"

/** The options of the process that the machine must fit. */
export type MachineOptions = Pick<ProcessOptions, "device" | "maxMemory" | "threads">

/**
 * Whether this version of Node is one that the package asks for.
 *
 * @param engines Such as `>=22.19`.
 */
export const ofNode = (version: string, engines: string): Finding => {
  const parts = (text: string) => text.replace(/^[^\d]*/, "").split(".").map(Number)
  const [least, own] = [parts(engines), parts(version)]
  const different = least.findIndex((part, i) => part !== (own[i] ?? 0))
  return different >= 0 && (own[different] ?? 0) < (least[different] ?? 0)
    ? problem("node", version, `Serena needs Node.js ${least.join(".")} or newer. Install it from https://nodejs.org.`)
    : ok("node", version)
}

const limits: Readonly<Record<memory.Available["limit"], string>> = {
  machine: "",
  container: ", the limit of the container or service",
  "address space": ", the limit of ulimit -v",
  "max-memory": ", the limit of --max-memory"
}

/** Bytes below which hardly an image can be made, and those for images of 512 x 512 pixels of most models. */
const leastMemory = 300e6
const usualMemory = 2e9

/** Whether there is memory to generate images in. */
export const ofMemory = ({ bytes, limit }: memory.Available): Finding => {
  const found = `${fileSize(bytes)} available${limits[limit]}`
  const advice = limit === "machine" ? "End other programs, or add memory." : "Raise this limit."
  return bytes < leastMemory
    ? problem("memory", found, `That is too little for any model. ${advice}`)
    : bytes < usualMemory
    ? warning("memory", found, `Requests that need more are refused: large images, and most models. ${advice}`)
    : ok("memory", found)
}

/** Whether the threads of a call have a processor each. `quota` is the limit of a container. */
export const ofProcessors = (
  { count, quota, threads }: {
    readonly count: number
    readonly quota: number | undefined
    readonly threads: number
  }
): Finding => {
  const usable = Math.min(count, quota ?? count)
  const whole = Math.max(1, Math.floor(usable))
  const found = `${count} ${count === 1 ? "processor" : "processors"}${
    quota !== undefined && quota < count
      ? `, of which the container leaves the time of ${Number(quota.toFixed(2))}`
      : ""
  }`
  if (threads > count || threads > Math.ceil(usable)) {
    return warning("processors", found, `--threads ${threads} is more than that, which is slower. Use ${whole}.`)
  }
  return threads === 0 && usable < count
    ? warning(
      "processors",
      found,
      `onnxruntime starts a thread for each processor of the machine, and the container stops them in turn. Use ` +
        `--threads ${whole}.`
    )
    : ok("processors", found)
}

/** Milliseconds by which clocks may differ before times of runs look wrong, and before certificates may. */
const usualSkew = 2000
const mostSkew = 60_000

/**
 * Whether the clock is right.
 *
 * @param now Milliseconds since the epoch.
 * @param database The database's clock at the same time.
 */
export const ofClock = (now: number, database?: number): Finding => {
  const found = new Date(now).toISOString()
  const set = "Set the clock by a time server (on Linux: timedatectl set-ntp true)."
  const year = new Date(now).getUTCFullYear()
  if (year < 2025 || year > 2100) return problem("clock", found, `The year is wrong. ${set}`)
  if (database === undefined) return ok("clock", found)
  const skew = Math.abs(now - database)
  const differs = `${found}, ${(skew / 1000).toFixed(1)} s ${now < database ? "behind" : "ahead of"} the database's`
  return skew > mostSkew
    ? problem("clock", differs, `Times of runs will be wrong. ${set}`)
    : skew > usualSkew
    ? warning("clock", differs, `Times of runs will be off by as much. ${set}`)
    : ok("clock", differs)
}

const decodeManifest = Schema.decodeUnknownEffect(
  Schema.fromJsonString(Schema.Struct({ engines: Schema.Struct({ node: Schema.String }) }))
)

const manifest = packageFile("package.json")

// The package's own manifest: what is wrong with it is a bug.
const engines = Effect.promise(() => readFile(manifest, "utf8")).pipe(
  Effect.flatMap(decodeManifest),
  Effect.map((found) => found.engines.node),
  Effect.orDie
)

/** Loads a network of the embedded model on the device, in the thread of the networks. */
const ofDevice = Effect.fn("doctor.device")(function*(options: MachineOptions) {
  const { device } = options
  const others = devices.all.filter((other) => other !== device && devices.problemOf(other) === undefined)
  const advice = `Choose another --device: ${others.join(" or ")}.`
  const absent = devices.problemOf(device)
  if (absent !== undefined) {
    // It says what is missing, and after that what to do.
    const [missing = "", ...remedy] = absent.split("; ")
    return problem("device", missing, `${remedy.join("; ").replace(/^./, (letter) => letter.toUpperCase())}.`)
  }
  return yield* Networks.use(({ open }) => open(join(embeddedDir, "shapes-128", "vae_decoder", "model.onnx"))).pipe(
    Effect.scoped,
    Effect.match({
      onFailure: ({ message }) =>
        problem(
          "device",
          `${device} does not load a network: ${message.replace(/\.$/, "")}`,
          device === "cpu" ? "Install Serena again with npm install." : advice
        ),
      onSuccess: () =>
        ok(
          "device",
          `${device} loads a network${others.length === 0 ? "" : `; ${others.join(", ")} may be used too`}`
        )
    }),
    Effect.provide(Layer.provide(Networks.layer, CommandOptions.layer(options)))
  )
})

/** What is found of this machine, without its clock. */
export const machineFindings = Effect.fn("doctor.machine")(function*(options: MachineOptions) {
  return [
    ofNode(process.versions.node, yield* engines),
    ofMemory(memory.available(options.maxMemory === 0 ? undefined : options.maxMemory * 2 ** 20)),
    ofProcessors({
      count: availableParallelism(),
      quota: processorQuota(readSystemFile),
      threads: options.threads
    }),
    yield* ofDevice(options)
  ]
})
