/**
 * Fetches models: from a reference to files in a models folder.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as FileLock from "../../core/FileLock.ts"
import { makeFolder } from "../../core/makeFolder.ts"
import { listed } from "../../core/Problem.ts"
import { reasonOf } from "../../core/WriteFailure.ts"
import { contentsOf, type Kind } from "../checkpoint/contents.ts"
import { openFile, openFolder } from "../checkpoint/sources.ts"
import {
  checkRoom,
  checkSize,
  claim,
  compared,
  fetchPartial,
  inspect,
  type NamedFile,
  type RemoteFile,
  removePartials
} from "./download.ts"
import { placesIn } from "./placement.ts"
import { PullError } from "./PullError.ts"
import { fileUrl, type Hub, pathProblem, type Reference, shown } from "./reference.ts"
import { listFiles } from "./repository.ts"
import type { Asked, Wording } from "./requests.ts"
import { fileName, select } from "./selection.ts"

export interface PullOptions {
  readonly hub: Hub
  /** The models folder; it is made. */
  readonly folder: string
  /** Which copy of the weights of a repository: `fp16`, or `onnx`; without it the ones without a variant. */
  readonly variant: string | undefined
  /** A name in place of the server's; of a file with its ending or without. */
  readonly name: string | undefined
  /** Called with what has arrived so far. */
  readonly report: (progress: PullProgress) => Effect.Effect<void>
  /** Called before the first byte arrives, with what `discard` needs. */
  readonly begun?: ((place: PullPlace) => Effect.Effect<void>) | undefined
  /** How errors name what helps; the flags of `serena models pull` by default. */
  readonly wording?: Wording | undefined
  /** Most bytes of all files together; any number by default. */
  readonly most?: number | undefined
  /** Bytes of the disk that stay free; none by default. */
  readonly reserve?: number | undefined
}

/** Where a download lies while it arrives. */
export interface PullPlace {
  /** The folder that it comes into. */
  readonly folder: string
  /** Of the file, or of the folder that it becomes. */
  readonly name: string
  readonly isFolder: boolean
}

/** The flags of `serena models pull`. */
const flags: Wording = { name: "--name", folder: "--to", variant: "--variant", again: "Run the command again" }

export interface PullProgress {
  /** The file that is being fetched. */
  readonly name: string
  /** Bytes that are there, of all files together. */
  readonly received: number
  /** Of all files together; undefined where the server does not say. */
  readonly size: number | undefined
}

/** A model that is there now. */
export interface Pulled {
  /** The file, or the folder. */
  readonly file: string
  readonly kind: Kind
  readonly family: string | undefined
  /** In bytes. */
  readonly size: number
  /** Of a single file that was downloaded, or whose checksum is known. */
  readonly sha256: string | undefined
  /** Whether a checksum was compared. */
  readonly isVerified: boolean
  /** Whether it was downloaded now, rather than found. */
  readonly isNew: boolean
  /** Why it cannot be used, as a phrase; empty where it can. */
  readonly problem: string
}

type Services = FileSystem.FileSystem | Path.Path | HttpClient.HttpClient

const fail = ({ subject }: Pick<Asked, "subject">, reason: string) =>
  new PullError({ subject, reason, isTemporary: false })

/**
 * Fetches what a reference names. What is there already with the same checksum is not fetched again. Fails with
 * `PullError`; what has arrived by then is continued by the next call.
 */
export const pull = Effect.fn("pull")(
  function*(reference: Reference, options: PullOptions): Effect.fn.Return<Pulled, PullError, Services | Scope.Scope> {
    const { hub, most = Infinity, reserve = 0, wording = flags } = options
    const asked: Asked = { subject: shown(reference), hub, most, reserve, wording }
    yield* make(asked, options.folder)
    switch (reference._tag) {
      case "Address":
        return yield* pullFile(yield* inspect(asked, reference.url), options)
      case "File":
        return yield* pullFile(yield* inspect(asked, fileUrl(options.hub, reference)), {
          ...options,
          name: options.name ?? fileName(reference.repository, reference.path)
        })
      case "Repository":
        return yield* pullRepository(asked, reference, options)
    }
  },
  Effect.scoped
)

const make = Effect.fnUntraced(function*(asked: Asked, folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* Effect.mapError(
    makeFolder(fs, path, folder),
    (error) =>
      fail(
        asked,
        `the folder ${folder} cannot be made: ${reasonOf(error)}. Choose another with ${asked.wording.folder}`
      )
  )
})

// One process at a time fetches a file or folder of a name.
const lock = Effect.fnUntraced(function*(asked: Asked, folder: string, name: string) {
  const path = yield* Path.Path
  yield* Effect.mapError(FileLock.acquire(path.join(folder, `.${name}`)), (error) =>
    fail(
      asked,
      error._tag === "FileInUse"
        ? `another process is fetching ${name}. Wait until it is done (${error.message})`
        : `nothing can be written in ${folder}: ${reasonOf(error)}. Choose another folder with ${asked.wording.folder}`
    ))
})

const ending = /\.[a-z][a-z0-9]{1,11}$/i

// The name to save a file by: it stays in its folder, is not hidden, and has an ending.
const nameOf = (remote: NamedFile, given: string | undefined): Result.Result<string, PullError> => {
  const [end = ""] = ending.exec(remote.name ?? "") ?? []
  const name = given === undefined ? remote.name : ending.test(given) ? given : given + end
  if (name === undefined || !ending.test(name)) {
    return Result.fail(
      fail(
        remote,
        `the server gives it no name with an ending; choose one with ${remote.wording.name}, such as model.safetensors`
      )
    )
  }
  const isOutside = pathProblem(name) !== undefined || name.includes("/") || name.startsWith(".")
  return isOutside
    ? Result.fail(
      fail(
        remote,
        `its name would be ${JSON.stringify(name.slice(0, 200))}, which leads out of the folder or is ` +
          `hidden; choose another with ${remote.wording.name}`
      )
    )
    : Result.succeed(name)
}

const taken = (remote: RemoteFile, file: string) =>
  fail(
    remote,
    `${file} is there already, and ${
      remote.digest === undefined ? "may be another file: the server names no checksum" : "is another file"
    }. Remove it, or choose another name with ${remote.wording.name} or another folder with ${remote.wording.folder}`
  )

const pullFile = Effect.fnUntraced(function*(
  remote: NamedFile,
  { begun, folder, name: given, report }: PullOptions
): Effect.fn.Return<Pulled, PullError, Services | Scope.Scope> {
  const path = yield* Path.Path
  const name = yield* Effect.fromResult(nameOf(remote, given))
  const places = yield* placesIn(folder)
  yield* lock(remote, folder, name)
  for (const place of places.all) {
    const file = path.join(place, name)
    const found = yield* compared(remote, file)
    if (found === "same") {
      yield* removePartials({ folder, name })
      return yield* pulled(remote, file, { isNew: false, sha256: sha256Of(remote) })
    }
    // In a layout, a file of another kind may have the name.
    if (found === "other" && places.all.length === 1) return yield* taken(remote, file)
  }
  if (begun !== undefined) yield* begun({ folder, name, isFolder: false })
  const { partial, sha256 } = yield* fetchPartial(remote, { folder, name }, (progress) => report({ name, ...progress }))
  const { kind } = yield* about(partial)
  const place = places.of(kind)
  yield* make(remote, place)
  const file = path.join(place, name)
  if (!(yield* claim(remote, partial, file))) return yield* taken(remote, file)
  return yield* pulled(remote, file, { isNew: true, sha256 })
})

const sha256Of = ({ digest }: RemoteFile): string | undefined => digest?.kind === "sha256" ? digest.hex : undefined

// What a file or a folder of weights holds.
const about = Effect.fnUntraced(function*(file: string, isFolder = false) {
  return yield* Effect.match(isFolder ? openFolder(file) : openFile(file), {
    onFailure: ({ problems }) => ({
      kind: "other" as const,
      family: undefined,
      size: undefined,
      problem: listed(problems)
    }),
    onSuccess: ({ files, tensors }) => {
      const { family, kind, problem = "" } = contentsOf(tensors)
      return { kind, family, size: files.reduce((sum, { size }) => sum + size, 0), problem }
    }
  })
})

const pulled = Effect.fnUntraced(function*(
  { digest, size: announced }: RemoteFile,
  file: string,
  rest: Pick<Pulled, "isNew" | "sha256">
) {
  const { size, ...found } = yield* about(file)
  const result: Pulled = { file, ...found, size: size ?? announced ?? 0, isVerified: digest !== undefined, ...rest }
  return result
})

const pullRepository = Effect.fnUntraced(function*(
  asked: Asked,
  { repository, revision }: Extract<Reference, { readonly _tag: "Repository" }>,
  options: PullOptions
): Effect.fn.Return<Pulled, PullError, Services | Scope.Scope> {
  const path = yield* Path.Path
  const { commit, files: all } = yield* listFiles(asked, repository, revision)
  const { files, isFolder } = yield* Effect.mapError(
    Effect.fromResult(
      select(all, { repository: asked.subject, variant: options.variant, called: asked.wording.variant })
    ),
    (reason) => fail(asked, reason)
  )
  const remotes = files.map(({ digest, path, size }): RemoteFile & { readonly path: string } => ({
    subject: asked.subject,
    hub: asked.hub,
    wording: asked.wording,
    most: asked.most,
    reserve: asked.reserve,
    path,
    url: fileUrl(options.hub, { repository, revision: commit, path }),
    size,
    digest,
    identity: digest?.hex ?? `${commit}/${path}`
  }))
  const [only] = remotes
  if (!isFolder && only !== undefined) {
    return yield* pullFile({ ...only, name: fileName(repository, only.path) }, options)
  }
  const name = options.name ?? repository.split("/")[1] ?? repository
  if (pathProblem(name) !== undefined || name.includes("/") || name.startsWith(".")) {
    return yield* fail(asked, `"${name}" is no name for a folder; choose another with ${asked.wording.name}`)
  }
  const place = (yield* placesIn(options.folder)).of("diffusers")
  yield* make(asked, place)
  yield* lock(asked, place, name)
  const folder = path.join(place, name)
  const isNew = !(yield* isThere(asked, folder, remotes))
  if (isNew && options.begun !== undefined) yield* options.begun({ folder: place, name, isFolder: true })
  if (isNew) yield* fetchFolder(asked, { place, name, folder }, remotes, options.report)
  const isExported = remotes.some(({ path }) => path.endsWith(".onnx"))
  const found = isExported
    ? { kind: "checkpoint" as const, family: undefined, problem: "" }
    : yield* about(folder, true)
  return {
    file: folder,
    kind: found.kind,
    family: found.family,
    problem: found.problem,
    size: remotes.reduce((sum, { size = 0 }) => sum + size, 0),
    sha256: undefined,
    isVerified: remotes.every(({ digest }) => digest !== undefined),
    isNew
  }
})

// Whether a folder has all of these files. Fails where it is another one.
const isThere = Effect.fnUntraced(function*(
  asked: Asked,
  folder: string,
  remotes: ReadonlyArray<RemoteFile & { readonly path: string }>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  if (!(yield* Effect.orElseSucceed(fs.exists(folder), () => false))) return false
  for (const remote of remotes) {
    if ((yield* compared(remote, path.join(folder, remote.path))) !== "same") {
      return yield* fail(
        asked,
        `${folder} is there already, and its ${remote.path} is missing or another one. Remove it, or choose another ` +
          `name with ${asked.wording.name} or another folder with ${asked.wording.folder}`
      )
    }
  }
  return true
})

// Files arrive in a hidden folder, which gets its name once all of them are there.
const fetchFolder = Effect.fnUntraced(function*(
  asked: Asked,
  { folder, name, place }: { readonly place: string; readonly name: string; readonly folder: string },
  remotes: ReadonlyArray<RemoteFile & { readonly path: string }>,
  report: PullOptions["report"]
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const staging = stagingOf(path, { folder: place, name })
  const size = remotes.reduce((sum, { size = 0 }) => sum + size, 0)
  yield* checkSize(asked, size)
  yield* make(asked, staging)
  const wanted = new Set(remotes.map((remote) => path.join(staging, remote.path)))
  // Of an earlier choice: another variant, another revision.
  const clean = Effect.fnUntraced(function*(isUseless: (file: string) => boolean) {
    for (const inside of yield* Effect.orElseSucceed(fs.readDirectory(staging, { recursive: true }), () => [])) {
      const file = path.join(staging, inside)
      const type = yield* Effect.option(fs.stat(file))
      if (type._tag === "Some" && type.value.type === "File" && isUseless(file)) yield* Effect.ignore(fs.remove(file))
    }
  })
  yield* clean((file) => !wanted.has(file) && !file.endsWith(".partial"))
  let before = 0
  const missing: Array<RemoteFile & { readonly path: string }> = []
  for (const remote of remotes) {
    const file = path.join(staging, remote.path)
    const found = yield* compared(remote, file)
    if (found === "same") {
      before += remote.size ?? 0
      continue
    }
    if (found === "other") yield* Effect.ignore(fs.remove(file))
    missing.push(remote)
  }
  yield* checkRoom(asked, place, missing.reduce((sum, { size = 0 }) => sum + size, 0) - (yield* partialSize(staging)))
  for (const remote of missing) {
    const file = path.join(staging, remote.path)
    yield* make(asked, path.dirname(file))
    const { partial } = yield* fetchPartial(
      remote,
      { folder: path.dirname(file), name: path.basename(file) },
      ({ received }) => report({ name: remote.path, received: before + received, size })
    )
    if (!(yield* claim(asked, partial, file))) return yield* taken(remote, file)
    before += remote.size ?? 0
  }
  yield* clean((file) => !wanted.has(file))
  yield* Effect.mapError(
    fs.rename(staging, folder),
    (error) => fail(asked, `${staging} is whole, but cannot be renamed to ${folder}: ${reasonOf(error)}`)
  )
})

// Where the files of a folder arrive.
const stagingOf = (path: Path.Path, { folder, name }: Pick<PullPlace, "folder" | "name">): string =>
  path.join(folder, `.${name}.partial`)

/** Removes what has arrived of a download that is not finished, unless it is being fetched at the moment. */
export const discard = Effect.fnUntraced(
  function*(place: PullPlace) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* FileLock.acquire(path.join(place.folder, `.${place.name}`))
    yield* place.isFolder
      ? fs.remove(stagingOf(path, place), { recursive: true, force: true })
      : removePartials(place)
  },
  Effect.scoped,
  (effect) => Effect.ignore(effect)
)

const partialSize = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  let size = 0
  for (const inside of yield* Effect.orElseSucceed(fs.readDirectory(folder, { recursive: true }), () => [])) {
    if (!inside.endsWith(".partial")) continue
    const stat = yield* Effect.option(fs.stat(path.join(folder, inside)))
    if (stat._tag === "Some") size += Number(stat.value.size)
  }
  return size
})
