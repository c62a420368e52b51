/**
 * Models that clients let the server download into its models folder.
 *
 * Off unless the server may: a client must not fill the disk of others, or reach hosts that it cannot reach itself. So
 * a download has a limit, leaves room on the disk, and comes from public addresses, or from the hub that the operator
 * named. The list is in memory; what has arrived of a download is continued after a restart by asking for it again.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { randomUUID } from "node:crypto"
import type { Download, DownloadList, DownloadRequest } from "../../contract/Download.ts"
import { DownloadNotFound, DownloadsRefused, InvalidRequest, TooManyDownloads } from "../../contract/errors.ts"
import { discard, pull, type PullPlace } from "../../models/hub/pull.ts"
import { type Hub, hubOf, parse, pathProblem, type Reference, shown } from "../../models/hub/reference.ts"
import type { Wording } from "../../models/hub/requests.ts"
import { ModelLibrary } from "../../models/ModelLibrary.ts"
import { publicAgents, PublicNetwork } from "./PublicNetwork.ts"
import { accessOf, isLoopback, ServerOptions, type ServerSettings } from "./ServerOptions.ts"
import { sharingOf } from "./sharing.ts"

/** The hub that downloads come from, by the variables of this process, or what is wrong with them. */
export const DownloadHub = Context.Reference<Result.Result<Hub, string>>("serena/server/host/DownloadHub", {
  defaultValue: () => hubOf(process.env)
})

/** How many run at once, how many wait, and how many ended ones are listed. */
const bounds = { running: 2, waiting: 16, ended: 100 }

/** Bytes of the disk that downloads of clients leave free. */
const reserve = 2 ** 30

const wording: Wording = {
  name: "the field name",
  folder: "the field folder",
  variant: "the field variant",
  again: "Start the download again"
}

/**
 * Whether clients may download. Unless it is said, they may where they are this machine's own: the server listens on
 * this machine alone, under no other name, without sign-in, for no foreign pages, and makes its images itself.
 */
export const allowsDownloads = (options: ServerSettings): boolean =>
  options.allow_downloads ??
    (isLoopback(options.host) && !accessOf(options).needsSignIn && options.allowed_hosts.length === 0 &&
      options.cors_allow_origins.length === 0 && options.cors_allow_origins_regex === undefined &&
      sharingOf(options).works)

export class Downloads extends Context.Service<Downloads, {
  readonly list: Effect.Effect<DownloadList>
  /** Starts a download, or returns the one that is under way for the same request. */
  readonly start: (
    request: DownloadRequest
  ) => Effect.Effect<Download, DownloadsRefused | InvalidRequest | TooManyDownloads>
  readonly get: (id: string) => Effect.Effect<Download, DownloadNotFound>
  /** Ends a download. What has arrived stays. */
  readonly cancel: (id: string) => Effect.Effect<Download, DownloadNotFound>
  /** Ends a download, and removes it from the list, with what has arrived unless it is whole. */
  readonly remove: (id: string) => Effect.Effect<Download, DownloadNotFound>
}>()("serena/server/host/Downloads") {
  /** Downloads end with the layer's scope. */
  static readonly layer: Layer.Layer<
    Downloads,
    never,
    FileSystem.FileSystem | ModelLibrary | Path.Path | ServerOptions
  > = Layer.effect(Downloads, Effect.suspend(() => make))
}

interface Entry {
  readonly request: DownloadRequest
  shown: Download
  fiber: Fiber.Fiber<void> | undefined
  place: PullPlace | undefined
}

const isActive = ({ shown: { state } }: Entry): boolean => state === "waiting" || state === "running"

const make = Effect.gen(function*() {
  const library = yield* ModelLibrary
  const options = yield* ServerOptions
  const network = yield* PublicNetwork
  const hub = yield* DownloadHub
  const scope = yield* Effect.scope
  const files = Context.pick(FileSystem.FileSystem, Path.Path)(
    yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  )
  const path = yield* Path.Path
  const turn = yield* Semaphore.make(bounds.running)
  const entries = new Map<string, Entry>()
  const refusal = !allowsDownloads(options)
    ? "start it with --allow-downloads to let it"
    : Result.isFailure(hub)
    ? `correct HF_ENDPOINT and HF_TOKEN of the server, as ${hub.failure}`
    : undefined

  const find = Effect.fnUntraced(function*(id: string) {
    return entries.get(id) ?? (yield* new DownloadNotFound({ id }))
  })

  // Only the last ended ones stay in the list.
  const forget = () => {
    const ended = [...entries].filter(([, entry]) => !isActive(entry))
    for (const [id] of ended.slice(0, Math.max(0, ended.length - bounds.ended))) entries.delete(id)
  }

  const change = (entry: Entry, patch: Partial<Download>) => {
    entry.shown = { ...entry.shown, ...patch }
  }
  const end = Effect.fnUntraced(function*(entry: Entry, patch: Partial<Download>) {
    change(entry, { ...patch, ended_at: yield* Clock.currentTimeMillis })
    forget()
    yield* Effect.annotateLogs(Effect.logInfo(`download ${entry.shown.state}`), {
      "download.source": entry.shown.source,
      "download.bytes": entry.shown.received
    })
  })

  const fetch = Effect.fnUntraced(function*(entry: Entry, hub: Hub, reference: Reference) {
    const { folder: within, name, variant } = entry.request
    const models = yield* library.folderForNew
    if (models === undefined) {
      return yield* end(entry, {
        state: "failed",
        problem: "the server has no models folder: name one by --models-dir"
      })
    }
    change(entry, { state: "running" })
    const pulled = yield* pull(reference, {
      hub,
      folder: within === undefined ? models : path.join(models, within),
      name,
      variant,
      wording,
      reserve,
      most: options.max_download_bytes,
      begun: (place) =>
        Effect.sync(() => {
          entry.place = place
        }),
      report: ({ name, received, size = null }) => Effect.sync(() => change(entry, { name, received, size }))
    }).pipe(
      // Paths stay on the server.
      Effect.mapError(({ reason }) =>
        reason.replaceAll(`${models}${path.sep}`, "").replaceAll(models, "the models folder")
      ),
      Effect.result
    )
    if (Result.isFailure(pulled)) return yield* end(entry, { state: "failed", problem: pulled.failure })
    const { file, isVerified, kind, problem, size } = pulled.success
    yield* end(entry, {
      state: "done",
      name: path.basename(file),
      kind,
      size,
      received: size,
      verified: isVerified,
      problem: problem === "" ? null : problem
    })
  })

  const client = Result.isFailure(hub) ? undefined : yield* Effect.gen(function*() {
    const agents = yield* Effect.acquireRelease(
      Effect.sync(() => publicAgents(network, hub.success.endpoint)),
      ({ http, https }) =>
        Effect.sync(() => {
          http.destroy()
          https.destroy()
        })
    )
    return yield* Effect.provideService(NodeHttpClient.makeNodeHttp, NodeHttpClient.HttpAgent, agents)
  })

  const begin = Effect.fnUntraced(function*(request: DownloadRequest, hub: Hub, client: HttpClient.HttpClient) {
    const reference = parse(request.source, hub)
    const { folder } = request
    const problems = [
      ...(Result.isFailure(reference) ? [{ path: "source", message: reference.failure }] : []),
      ...(folder !== undefined && (pathProblem(folder) !== undefined || /(?:^|\/)\./.test(folder))
        ? [{ path: "folder", message: `${JSON.stringify(folder)} is no folder within the models folder` }]
        : [])
    ]
    if (Result.isFailure(reference) || problems.length > 0) return yield* new InvalidRequest({ problems })
    const active = [...entries.values()].filter(isActive)
    const same = [...entries].filter(([, entry]) =>
      (["source", "name", "folder", "variant"] as const).every((name) => entry.request[name] === request[name])
    )
    const underWay = same.find(([, entry]) => isActive(entry))
    if (underWay !== undefined) return underWay[1].shown
    const waiting = active.filter(({ shown: { state } }) => state === "waiting").length
    if (waiting >= bounds.waiting) return yield* new TooManyDownloads({ waiting })
    // It takes the place of those that it continues.
    for (const [id] of same) entries.delete(id)
    const id = randomUUID()
    const entry: Entry = {
      request,
      fiber: undefined,
      place: undefined,
      shown: {
        id,
        source: shown(reference.success),
        state: "waiting",
        name: null,
        received: 0,
        size: null,
        started_at: yield* Clock.currentTimeMillis,
        ended_at: null,
        kind: null,
        verified: false,
        problem: null
      }
    }
    entries.set(id, entry)
    entry.fiber = yield* turn.withPermits(1)(fetch(entry, hub, reference.success)).pipe(
      Effect.onInterrupt(() => end(entry, { state: "cancelled" })),
      Effect.catchCause((cause) =>
        Effect.andThen(
          Effect.logError("download failed", cause),
          end(entry, { state: "failed", problem: "an internal error; the server's log has the details" })
        )
      ),
      Effect.provideContext(files),
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.forkIn(scope)
    )
    return entry.shown
  })

  const stop = (entry: Entry) => entry.fiber === undefined ? Effect.void : Fiber.interrupt(entry.fiber)

  return Downloads.of({
    list: Effect.sync(() => ({
      refusal: refusal === undefined ? null : new DownloadsRefused({ reason: refusal }).message,
      max_bytes: options.max_download_bytes,
      downloads: [...entries.values()].map(({ shown }) => shown).toReversed()
    })),
    start: (request) =>
      refusal !== undefined || Result.isFailure(hub) || client === undefined
        ? Effect.fail(new DownloadsRefused({ reason: refusal ?? "" }))
        : begin(request, hub.success, client),
    get: (id) => Effect.map(find(id), ({ shown }) => shown),
    cancel: Effect.fnUntraced(function*(id) {
      const entry = yield* find(id)
      yield* stop(entry)
      return entry.shown
    }),
    remove: Effect.fnUntraced(function*(id) {
      const entry = yield* find(id)
      yield* stop(entry)
      entries.delete(id)
      if (entry.place !== undefined && entry.shown.state !== "done") {
        yield* Effect.provideContext(discard(entry.place), files)
      }
      return entry.shown
    })
  })
})
