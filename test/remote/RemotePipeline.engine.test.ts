import * as Effect from "effect/Effect"
import { TestRuntime } from "../../src/testing/index.ts"
import { pipelineContract } from "./pipelineContract.ts"
import { remote } from "./remote.ts"
import { workers } from "./workers.ts"

pipelineContract("DiffusionPipeline", ({ engine, hooks }) => Effect.succeed(TestRuntime.layer({ ...engine, hooks })))

pipelineContract("RemotePipeline", remote)

pipelineContract("ClusterPipeline", (options) => Effect.map(workers(options), ({ layer }) => layer))
