/**
 * A network's tensors by the names of its layers: a view of the names below a prefix, in a file or in several.
 *
 * `at` goes down a level, as the networks' own modules nest: `w.at("mlp").at("fc1")` has `weight` and `bias`.
 */
import type { SourceFile, StoredTensor, WeightSource } from "../checkpoint/WeightSource.ts"
import type { LayerChange } from "./Change.ts"
import { shown } from "./Dim.ts"
import { UnfitNetwork } from "./UnfitNetwork.ts"

interface Contents {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly files: ReadonlyMap<string, SourceFile>
  /** Every name that others lie below. */
  readonly levels: ReadonlySet<string>
  /** Names that a layer has asked for. */
  readonly read: Set<string>
  /** What adapters change, by the names that the network has for its layers. */
  readonly changes: ReadonlyMap<string, ReadonlyArray<LayerChange>>
}

export class Weights {
  /** The name of this level in the network, without a dot at its end; empty at the top. */
  readonly path: string
  readonly #contents: Contents

  private constructor(contents: Contents, path: string) {
    this.#contents = contents
    this.path = path
  }

  /** The tensors of a source whose names begin with a prefix, such as `model.diffusion_model.`, without it. */
  static of({ files, tensors }: WeightSource, prefix = ""): Weights {
    const below = [...tensors].flatMap(([name, tensor]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), tensor] as const] : []
    )
    return new Weights(contentsOf(new Map(below), new Map(files.map((file) => [file.path, file])), new Map()), "")
  }

  /** The same tensors by other names, each name by none, one or several tensors. */
  mapped(rename: (name: string, tensor: StoredTensor) => ReadonlyArray<readonly [string, StoredTensor]>): Weights {
    const { changes, files, tensors } = this.#contents
    const renamed = [...tensors].flatMap(([name, tensor]) => rename(name, tensor))
    return new Weights(contentsOf(new Map(renamed), files, changes), "")
  }

  /** The same tensors with what adapters change in layers, by the names that the network has for them in the end. */
  changed(changes: ReadonlyMap<string, ReadonlyArray<LayerChange>>): Weights {
    const { files, tensors } = this.#contents
    return new Weights(contentsOf(tensors, files, changes), this.path)
  }

  /** What adapters change in the layer of this level. */
  get changes(): ReadonlyArray<LayerChange> {
    return this.#contents.changes.get(this.path) ?? []
  }

  /** The names of all tensors at or below this level, from this level on. */
  get names(): ReadonlyArray<string> {
    const prefix = this.#name("")
    return [...this.#contents.tensors.keys()].flatMap((name) =>
      name.startsWith(prefix) ? [name.slice(prefix.length)] : []
    )
  }

  /** The level below of this name. */
  at(name: string | number): Weights {
    return new Weights(this.#contents, this.#name(`${name}`))
  }

  /** Whether there is a tensor of this name, or one below it. */
  has(name: string | number): boolean {
    const full = this.#name(`${name}`)
    return this.#contents.tensors.has(full) || this.#contents.levels.has(full)
  }

  /** The levels that are numbered 0, 1, 2 and so on below this one. */
  get list(): ReadonlyArray<Weights> {
    const all: Array<Weights> = []
    while (this.has(all.length)) all.push(this.at(all.length))
    return all
  }

  /** A tensor's shape; undefined where there is none of this name. */
  shape(name: string): ReadonlyArray<number> | undefined {
    return this.#contents.tensors.get(this.#name(name))?.shape
  }

  /** A tensor, which counts as read. Throws `UnfitNetwork` where there is none of this name. */
  tensor(name: string): StoredTensor {
    const full = this.#name(name)
    const tensor = this.#contents.tensors.get(full)
    if (tensor === undefined) throw this.unfit(full, "is missing")
    this.#contents.read.add(full)
    return tensor
  }

  /** A tensor that was not there to be read, or not of this shape. Undefined sizes may be any. */
  misshapen(name: string, expected: ReadonlyArray<number | undefined>): UnfitNetwork {
    const { name: stored, shape } = this.tensor(name)
    return this.unfit(stored, `has the shape ${shown(shape)}, where ${this.path} expects ${shown(expected)}`)
  }

  unfit(tensor: string, reason: string): UnfitNetwork {
    return new UnfitNetwork({ file: this.file, tensor, reason, near: [] })
  }

  /** The file of the first tensor; empty where there is none. */
  get file(): string {
    const [first] = this.#contents.tensors.values()
    return first?.file ?? ""
  }

  /** Names that no layer has read. */
  get unread(): ReadonlyArray<string> {
    return [...this.#contents.tensors.keys()].filter((name) => !this.#contents.read.has(name))
  }

  /** The file that a tensor lies in, as it was when its header was read. */
  fileOf({ file }: StoredTensor): SourceFile | undefined {
    return this.#contents.files.get(file)
  }

  #name(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`
  }
}

const contentsOf = (
  tensors: Contents["tensors"],
  files: Contents["files"],
  changes: Contents["changes"]
): Contents => {
  const levels = new Set<string>()
  for (const name of tensors.keys()) {
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) levels.add(name.slice(0, dot))
  }
  return { tensors, files, levels, read: new Set(), changes }
}
