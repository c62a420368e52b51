/**
 * Where the integer weights of networks lie that are computed in int8, and which of them are those of a layer.
 *
 * Each network has a folder in the data folder, and each weight a file in that: its integers, then its scales in
 * float32. A file is named for what the weight is made of, and for the recipe and the files of the weights as they are
 * now (path, size, time). It has this name once it is whole, so several processes may write at once. The graphs of a
 * network (plain, seamless, with adapters) share the files.
 */
import { createHash, randomUUID } from "node:crypto"
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from "node:fs"
import { join, resolve } from "node:path"

/** Changes with what int8 makes of a weight. */
const recipe = "1"

const digest = (...parts: ReadonlyArray<string | Uint8Array>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part).update("\n")
  return hash.digest("hex").slice(0, 24)
}

/** The folder of integer weights in a data folder. */
export const int8In = (dataDir: string): string => resolve(dataDir, "int8")

/** The folder of a network's weights. */
export const int8FolderOf = (cache: string, file: string): string => join(cache, digest(resolve(file)))

/** A file as it is: size and time of the last change. */
export const stampOf = (file: string): string => {
  const { mtimeMs, size } = statSync(file)
  return `${file} ${size} ${Math.floor(mtimeMs)}`
}

/** The name of a weight's file, by what it is made of and by the files that it comes from. */
export const int8Name = (made: Uint8Array, stamps: ReadonlyArray<string>): string =>
  `${digest(made)}-${digest(recipe, ...stamps)}`

/** Whether a weight's file is whole. */
export const isKept = (file: string, bytes: number): boolean =>
  statSync(file, { throwIfNoEntry: false })?.size === bytes

/**
 * Writes a weight's file, and takes those of earlier versions of the weight away. Returns whether it is there: a disk
 * may be full, or its folder may be read only.
 */
export const keep = (folder: string, name: string, parts: ReadonlyArray<Uint8Array>): boolean => {
  const unfinished = join(folder, `writing-${randomUUID()}`)
  try {
    mkdirSync(folder, { recursive: true })
    const file = openSync(unfinished, "wx")
    try {
      for (const part of parts) writeWhole(file, part)
      // On the disk before it has its name: a machine that loses power keeps no name of what is not there.
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(unfinished, join(folder, name))
  } catch {
    rmSync(unfinished, { force: true })
    return false
  }
  removeEarlier(folder, name)
  return true
}

const writeWhole = (file: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at)
}

// A system may refuse to remove a file that a process has mapped.
const removeEarlier = (folder: string, name: string): void => {
  const [made = ""] = name.split("-")
  for (const other of readdirSync(folder)) {
    if (other === name || !other.startsWith(`${made}-`)) continue
    try {
      rmSync(join(folder, other), { force: true })
    } catch {
      // It stays, and stands for nothing.
    }
  }
}
