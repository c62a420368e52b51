/**
 * A cluster of workers on one database, simulated event by event: what the database does, how long runs wait, how soon
 * a run goes on after its worker's death, and what becomes the limit.
 *
 * It knows no clock and no network but its own: one seed gives one result. What a statement takes is measured, see
 * `measure.ts`.
 */

/** What a statement takes, in milliseconds. */
export interface StatementTimes {
  /** Time on a core of the database. */
  readonly core: number
  /** Time until its answer on an idle database: half of them take less, and 99 in 100. */
  readonly p50: number
  readonly p99: number
}

export type Statement = "beat" | "end" | "images" | "poll" | "progress" | "reclaim" | "submit" | "take"

/** All times in seconds. */
export interface Parameters {
  readonly workers: number
  readonly frontEnds: number
  /** Share of the workers' time that the submitted runs take. */
  readonly load: number
  /** How long runs are submitted; the simulation goes on until all have ended. */
  readonly duration: number
  /** Time of a run: its mean, and the standard deviation of its logarithm. */
  readonly runTime: number
  readonly runSpread: number
  /** Batches of a run. After a death those that are finished are not made again. */
  readonly batches: number
  /** Time to put the images of a batch into the blob store, which the worker waits for. */
  readonly putTime: number
  readonly progressPerSecond: number
  readonly beatEvery: number
  readonly lease: number
  /** Every process looks for lost workers this often. */
  readonly reclaimEvery: number
  /** An idle worker asks for a run this often, whatever it has heard. */
  readonly pollEvery: number
  /** Whether an idle worker hears of a new run; all that are idle ask for it then. */
  readonly notifies: boolean
  /** Whether workers hear of every event of every run, and not of queued runs and wishes only. */
  readonly workersHearEvents: boolean
  /** Mean time until a worker dies; Infinity for never. */
  readonly deathEvery: number
  /** Time until another worker takes the place of a dead one. */
  readonly restartAfter: number
  /** Cores of the database. */
  readonly cores: number
  /** Time on a core to deliver one notification to one listener, in milliseconds. */
  readonly notification: number
  readonly connectionsPerWorker: number
  readonly connectionsPerFrontEnd: number
  /** `max_connections` of PostgreSQL. */
  readonly maxConnections: number
  readonly times: Readonly<Record<Statement, StatementTimes>>
  readonly seed: number
}

/** Measured by `measure.ts` with PostgreSQL 18 on a machine with two cores that others used as well. */
export const measured: Pick<Parameters, "notification" | "times"> = {
  notification: 0.018,
  times: {
    submit: { core: 0.43, p50: 3.99, p99: 7.66 },
    poll: { core: 0.08, p50: 0.28, p99: 6.12 },
    take: { core: 0.5, p50: 3.99, p99: 8.2 },
    progress: { core: 0.21, p50: 0.47, p99: 11.1 },
    images: { core: 0.52, p50: 3.96, p99: 37.8 },
    end: { core: 0.53, p50: 3.96, p99: 68.3 },
    beat: { core: 0.3, p50: 3.87, p99: 16.7 },
    reclaim: { core: 0.05, p50: 0.07, p99: 3.87 }
  }
}

export const defaults: Parameters = {
  workers: 3,
  frontEnds: 2,
  load: 0.7,
  duration: 600,
  runTime: 20,
  runSpread: 0.8,
  batches: 4,
  putTime: 0.05,
  progressPerSecond: 4,
  beatEvery: 2,
  lease: 10,
  reclaimEvery: 2,
  pollEvery: 1,
  notifies: true,
  workersHearEvents: false,
  deathEvery: 3600,
  restartAfter: 30,
  cores: 4,
  connectionsPerWorker: 2,
  connectionsPerFrontEnd: 10,
  maxConnections: 100,
  seed: 1,
  ...measured
}

/** Percentiles of what was observed. */
export interface Spread {
  readonly mean: number
  readonly p50: number
  readonly p99: number
  readonly most: number
}

export interface Result {
  readonly submitted: number
  /** How many runs ended, and how many ended more than once. */
  readonly ended: number
  readonly endedTwice: number
  readonly deaths: number
  /** Runs that were taken from a worker that lived, because its beat came too late. */
  readonly takenFromLiving: number
  /** Simulated seconds, and the means over them. */
  readonly time: number
  readonly inSystem: number
  readonly inDatabase: number
  /** Seconds from submission to end, and from a queued state to the next beginning. */
  readonly sojourn: Spread
  readonly wait: Spread
  /** Seconds from a death to the run's return to the queue, and to its next beginning. */
  readonly returned: Spread
  readonly recovered: Spread
  /** Seconds until the database answers a statement. */
  readonly answer: Spread
  readonly statements: Readonly<Record<Statement, number>>
  /** While runs are submitted, after the first third of that time. */
  readonly statementsPerSecond: number
  readonly deliveriesPerSecond: number
  /** Share of one core that statements and notifications take then; over 1 it takes more than one core. */
  readonly coreShare: number
  readonly connections: number
  readonly limit: string
}

// --- Chance

/** Numbers from 0 to 1, the same for the same seed (the generator is Tommy Ettinger's mulberry32). */
const randomOf = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The 99th percentile of the standard normal distribution. */
const z99 = 2.3263478740408408

const spreadOf = (values: ReadonlyArray<number>): Spread => {
  const sorted = Float64Array.from(values).toSorted()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  const sum = sorted.reduce((sum, value) => sum + value, 0)
  return { mean: sum / Math.max(1, sorted.length), p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? 0 }
}

// --- Time

interface Timed {
  readonly at: number
  readonly order: number
  readonly happen: () => void
}

/** What is to happen, the soonest first: a binary heap. */
class Agenda {
  now = 0
  #order = 0
  readonly #heap: Array<Timed> = []

  after(delay: number, happen: () => void): void {
    const timed = { at: this.now + delay, order: this.#order++, happen }
    const heap = this.#heap
    let at = heap.length
    heap.push(timed)
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(timed, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = timed
  }

  /** Lets things happen as long as `goesOn`. */
  run(goesOn: () => boolean): void {
    while (goesOn()) {
      const first = this.#take()
      if (first === undefined) return
      this.now = first.at
      first.happen()
    }
  }

  #take(): Timed | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    while (true) {
      const left = 2 * at + 1
      const [a, b] = [heap[left], heap[left + 1]]
      if (a === undefined) break
      const [child, index] = b !== undefined && isBefore(b, a) ? [b, left + 1] : [a, left]
      if (!isBefore(child, last)) break
      heap[at] = child
      at = index
    }
    heap[at] = last
    return first
  }
}

const isBefore = (a: Timed, b: Timed): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

// --- The cluster

interface Run {
  readonly submittedAt: number
  /** Seconds of each batch. */
  readonly batchTime: number
  batchesLeft: number
  queuedAt: number
  /** When its worker died. */
  lostAt: number | undefined
  ends: number
}

interface Member {
  alive: boolean
  seenAt: number
  run: Run | undefined
  /** Counts the runs that it has begun: what an earlier one has planned does not happen. */
  turn: number
  asks: boolean
}

/** Simulates a cluster until every submitted run has ended. */
export const simulate = (given: Partial<Parameters> = {}): Result => {
  const parameters: Parameters = { ...defaults, ...given }
  const { beatEvery, frontEnds, lease, times } = parameters
  const agenda = new Agenda()
  const random = randomOf(parameters.seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  const exponential = (mean: number) => -mean * Math.log(1 - random())

  // The database: statements wait in order for a core, and for the disk and the network besides.
  const counts: Record<Statement, number> = {
    submit: 0,
    poll: 0,
    take: 0,
    progress: 0,
    images: 0,
    end: 0,
    beat: 0,
    reclaim: 0
  }
  const line: Array<() => void> = []
  let head = 0
  let freeCores = parameters.cores
  let coreTime = 0
  let deliveries = 0
  let inDatabase = 0
  let inDatabaseSum = 0
  let databaseSince = 0
  const answers: Array<number> = []
  const changeDatabase = (change: number) => {
    inDatabaseSum += inDatabase * (agenda.now - databaseSince)
    databaseSince = agenda.now
    inDatabase += change
  }
  const onCore = (seconds: number, done: () => void) => {
    const begin = () => {
      freeCores--
      coreTime += seconds
      agenda.after(seconds, () => {
        freeCores++
        const next = line[head]
        if (next !== undefined) {
          head++
          if (head > 4096) {
            line.splice(0, head)
            head = 0
          }
          next()
        }
        done()
      })
    }
    if (freeCores > 0) begin()
    else line.push(begin)
  }
  const ask = (statement: Statement, answered: () => void) => {
    counts[statement]++
    const since = agenda.now
    const { core, p50, p99 } = times[statement]
    const sigma = Math.log(p99 / p50) / z99
    const factor = Math.exp(normal() * sigma)
    // So that the mean is the mean.
    const onACore = core * factor / Math.exp(sigma ** 2 / 2)
    changeDatabase(1)
    onCore(onACore / 1000, () =>
      agenda.after(Math.max(0, p50 * factor - onACore) / 1000, () => {
        changeDatabase(-1)
        answers.push(agenda.now - since)
        answered()
      }))
  }
  // Deliveries take the cores' time, but no answer waits for them by itself.
  const notify = (listeners: number) => {
    deliveries += listeners
    if (listeners > 0) onCore(listeners * parameters.notification / 1000, () => {})
  }

  // Runs.
  const queue: Array<Run> = []
  const members = new Set<Member>()
  const sojourns: Array<number> = []
  const waits: Array<number> = []
  const returns: Array<number> = []
  const recoveries: Array<number> = []
  let submitted = 0
  let ended = 0
  let endedTwice = 0
  let deaths = 0
  let takenFromLiving = 0
  let open = 0
  let openSum = 0
  let openSince = 0
  const changeOpen = (change: number) => {
    openSum += open * (agenda.now - openSince)
    openSince = agenda.now
    open += change
  }
  const idle = () => [...members].filter((member) => member.alive && member.run === undefined)
  const toEvents = () => notify(frontEnds + (parameters.workersHearEvents ? members.size : 0))
  const enqueue = (run: Run) => {
    run.queuedAt = agenda.now
    queue.push(run)
    if (!parameters.notifies) return
    // Every worker listens; those that are idle ask.
    notify(frontEnds + members.size)
    for (const member of idle()) seek(member)
  }
  const seek = (member: Member) => {
    if (!member.alive || member.run !== undefined || member.asks) return
    member.asks = true
    ask(queue.length > 0 ? "take" : "poll", () => {
      member.asks = false
      if (!member.alive || member.run !== undefined) return
      const run = queue.shift()
      if (run === undefined) return
      waits.push(agenda.now - run.queuedAt)
      if (run.lostAt !== undefined) recoveries.push(agenda.now - run.lostAt)
      run.lostAt = undefined
      member.run = run
      member.turn++
      toEvents()
      batch(member, run, member.turn)
      progress(member, member.turn)
    })
  }
  const holds = (member: Member, turn: number) => member.alive && member.turn === turn && member.run !== undefined
  const batch = (member: Member, run: Run, turn: number) =>
    agenda.after(run.batchTime + parameters.putTime, () => {
      if (!holds(member, turn)) return
      const isLast = run.batchesLeft === 1
      ask(isLast ? "end" : "images", () => {
        // Fenced: a worker that has lost the run reports in vain.
        if (!holds(member, turn)) return
        toEvents()
        run.batchesLeft--
        if (!isLast) return batch(member, run, turn)
        run.ends++
        if (run.ends > 1) endedTwice++
        ended++
        changeOpen(-1)
        sojourns.push(agenda.now - run.submittedAt)
        member.run = undefined
        seek(member)
      })
    })
  const progress = (member: Member, turn: number) => {
    if (parameters.progressPerSecond === 0) return
    agenda.after(1 / parameters.progressPerSecond, () => {
      if (!holds(member, turn)) return
      ask("progress", toEvents)
      progress(member, turn)
    })
  }
  const every = (interval: number, goesOn: () => boolean, happen: () => void) => {
    const again = () => {
      if (!goesOn()) return
      happen()
      agenda.after(interval, again)
    }
    agenda.after(random() * interval, again)
  }
  const reclaim = () =>
    ask("reclaim", () => {
      for (const member of members) {
        if (agenda.now - member.seenAt <= lease) continue
        const { run } = member
        member.run = undefined
        member.turn++
        if (!member.alive) members.delete(member)
        else if (run !== undefined) takenFromLiving++
        if (run === undefined) continue
        if (run.lostAt !== undefined) returns.push(agenda.now - run.lostAt)
        enqueue(run)
      }
    })
  const join = () => {
    const member: Member = { alive: true, seenAt: agenda.now, run: undefined, turn: 0, asks: false }
    members.add(member)
    const lives = () => member.alive
    every(beatEvery, lives, () =>
      ask("beat", () => {
        // What was on its way when it died still counts.
        member.seenAt = agenda.now
      }))
    every(parameters.reclaimEvery, lives, reclaim)
    every(parameters.pollEvery, lives, () => seek(member))
    if (parameters.deathEvery !== Infinity) {
      agenda.after(exponential(parameters.deathEvery), () => {
        deaths++
        member.alive = false
        if (member.run !== undefined) member.run.lostAt = agenda.now
        agenda.after(parameters.restartAfter, join)
      })
    }
  }
  for (let i = 0; i < parameters.workers; i++) join()
  for (let i = 0; i < frontEnds; i++) every(parameters.reclaimEvery, () => true, reclaim)

  // Submissions.
  const between = parameters.runTime / (parameters.load * parameters.workers)
  // So that the mean is the mean.
  const middle = Math.log(parameters.runTime) - parameters.runSpread ** 2 / 2
  const submit = () => {
    if (agenda.now > parameters.duration) return
    const since = agenda.now
    const time = Math.exp(middle + parameters.runSpread * normal())
    submitted++
    changeOpen(1)
    ask("submit", () =>
      enqueue({
        submittedAt: since,
        batchTime: time / parameters.batches,
        batchesLeft: parameters.batches,
        queuedAt: since,
        lostAt: undefined,
        ends: 0
      }))
    agenda.after(exponential(between), submit)
  }
  agenda.after(exponential(between), submit)
  const total = () => Object.values(counts).reduce((sum, count) => sum + count, 0)
  const look = () => ({ at: agenda.now, statements: total(), coreTime, deliveries })
  let [from, to] = [look(), look()]
  agenda.after(parameters.duration / 3, () => from = look())
  agenda.after(parameters.duration, () => to = look())
  // A run that never ends would keep it going for ever.
  const latest = parameters.duration * 100
  agenda.run(() => agenda.now < latest && (agenda.now <= parameters.duration || open > 0))
  changeOpen(0)
  changeDatabase(0)

  const time = agenda.now
  const perSecond = (what: "coreTime" | "deliveries" | "statements") => (to[what] - from[what]) / (to.at - from.at)
  const found = {
    coreShare: perSecond("coreTime"),
    connections: parameters.workers * parameters.connectionsPerWorker +
      frontEnds * parameters.connectionsPerFrontEnd
  }
  return {
    submitted,
    ended,
    endedTwice,
    deaths,
    takenFromLiving,
    time,
    inSystem: openSum / time,
    inDatabase: inDatabaseSum / time,
    sojourn: spreadOf(sojourns),
    wait: spreadOf(waits),
    returned: spreadOf(returns),
    recovered: spreadOf(recoveries),
    answer: spreadOf(answers),
    statements: counts,
    statementsPerSecond: perSecond("statements"),
    deliveriesPerSecond: perSecond("deliveries"),
    limit: limitOf(found, parameters),
    ...found
  }
}

/** Share of its cores beyond which a database answers late. */
const fullCores = 0.7

/** What is used up first as workers are added, and how far it is used already. */
const limitOf = (
  { connections, coreShare }: Pick<Result, "connections" | "coreShare">,
  { cores, load, maxConnections }: Parameters
): string => {
  const used = [
    ["workers", load],
    ["connections", connections / maxConnections],
    ["database cores", coreShare / (cores * fullCores)]
  ] as const
  const [name, share] = used.reduce((most, each) => each[1] > most[1] ? each : most)
  return `${name}, ${Math.round(share * 100)} %`
}
