/**
 * Images from another server: the part of the command line that only `--via` loads.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import type { Size } from "../core/Geometry.ts"
import * as RemoteServer from "../remote/RemoteServer.ts"

export * as RemoteRuntime from "../remote/RemoteRuntime.ts"

/** Size of the images of a server's model, as the server states it; undefined where it does not, or does not answer. */
export const sizeAt = (
  server: RemoteServer.RemoteOptions,
  model: string
): Effect.Effect<Size | undefined> =>
  RemoteServer.make(server).pipe(
    Effect.flatMap(({ sizeOf }) => sizeOf(model)),
    Effect.orElseSucceed(() => undefined),
    Effect.provide(NodeHttpClient.layerNodeHttp)
  )
