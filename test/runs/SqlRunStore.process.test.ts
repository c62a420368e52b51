import * as NodeServices from "@effect/platform-node/NodeServices"
import * as PgClient from "@effect/sql-pg/PgClient"
import { describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { afterAll, beforeAll } from "vitest"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { type Postgres, postgres } from "./postgres.ts"
import { sqlContract } from "./sqlContract.ts"
import { storeContract } from "./storeContract.ts"

const scope = Scope.makeUnsafe()
let server: Postgres | undefined
beforeAll(async () => {
  server = await Effect.runPromise(Scope.provide(postgres, scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

class Address extends Context.Service<Address, string>()("test/Address") {}

/** A store on an empty database, and a client of that database. */
const fresh = Layer.unwrap(
  Effect.map(Effect.suspend(() => server?.database ?? Effect.die("no server")), (address) => {
    const url = Redacted.make(address)
    return Layer.mergeAll(
      SqlRunStore.layerPostgres({ url }),
      PgClient.layer({ url, maxConnections: 2 }),
      Layer.succeed(Address, address)
    )
  })
).pipe(Layer.provide(NodeServices.layer))

/** Makes everything in the store older. */
const pass = Effect.fnUntraced(function*(time: number) {
  const sql = yield* SqlClient
  yield* sql`UPDATE workers SET seen_at = seen_at - ${time}::float8, started_at = started_at - ${time}::float8`
  yield* sql`UPDATE runs SET submitted_at = submitted_at - ${time}::float8, ended_at = ended_at - ${time}::float8`
})

describe("runs in PostgreSQL", () => {
  storeContract(Layer.fresh(fresh), { live: true, pass })
  sqlContract({
    make: Effect.suspend(() => server?.database ?? Effect.die("no server")),
    store: (address) => SqlRunStore.layerPostgres({ url: Redacted.make(address) }),
    client: (address) => PgClient.layer({ url: Redacted.make(address) })
  })
})
