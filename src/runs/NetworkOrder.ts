/**
 * Which runs of this process have its networks.
 *
 * As many as there are slots have them at once, in the order in which they were taken. The next run is taken when one
 * decodes its last image, and is prepared meanwhile; while it has the networks, the images of the one before are
 * encoded and written. So a slot holds two runs at most, of which one has the networks.
 *
 * Runs whose calls may be made as one (see `jointCalls`) have a slot's networks at the same time, up to the number that
 * each of them allows. One joins those that have them only where none waits before it.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { modelSettings } from "../processing/modelSettings.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import { firstAxis } from "../processing/Plot.ts"
import type { Processing } from "../processing/Processing.ts"
import type { NetworkTurn } from "../runner/NetworkTurn.ts"

/** How far a run is. One whose pipeline says nothing of its networks is prepared until it has ended. */
type Phase = "waiting" | "preparing" | "ready" | "calling" | "ending" | "finishing"

/** A run among those that share the networks. */
export interface Place extends NetworkTurn {
  /**
   * Waits until the run may load its model: until no more runs than there are slots are in memory, or at once where an
   * earlier one has the same files open (see `filesOf`).
   */
  readonly start: (files: string | undefined, company?: Company) => Effect.Effect<void>
  /** Whether it has left the networks, and only writes its images. */
  readonly isFinishing: () => boolean
  /** Takes it out; it has ended. */
  readonly remove: () => void
}

/** With which others a run may have the networks. */
export interface Company {
  /** The same for runs whose calls differ in their rows only. */
  readonly form: string
  /** Most runs, with this one, that have them at the same time. */
  readonly most: number
}

export interface NetworkOrder {
  /** Slots that no run needs for its networks, less those of other work. */
  readonly free: () => number
  /** Whether a further run may be taken. */
  readonly hasRoom: () => boolean
  /** Adds a run that was taken. `changed` is done whenever a further one may be taken because of it. */
  readonly add: (changed: Effect.Effect<void>) => Place
  /** Slots that other work has. */
  readonly occupied: () => number
  /** Gives other work a slot. */
  readonly occupy: () => void
  readonly leave: () => void
}

interface Turn {
  phase: Phase
  files: string | undefined
  company: Company | undefined
  /** The slot that it has, or had; undefined before it has the networks. */
  slot: Slot | undefined
  /** Open once it may load its model. */
  readonly started: Latch.Latch
  /** Open once it has the networks. */
  readonly called: Latch.Latch
}

/** A slot that a run has, or several of one form: the first one of them stands for it. */
type Slot = Turn

/** The order of runs on so many slots. */
export const make = (slots: number): NetworkOrder => {
  // In the order in which they were taken.
  const turns = new Set<Turn>()
  let occupied = 0

  const count = (...phases: ReadonlyArray<Phase>): number => {
    let found = 0
    for (const { phase } of turns) if (phases.includes(phase)) found++
    return found
  }

  // The slots that are held, and of the runs that wait, in their order, those that will join others there.
  const outlook = () => {
    const held = new Map<Slot, Array<Company | undefined>>()
    for (const { company, phase, slot } of turns) {
      if (slot === undefined || phase === "finishing") continue
      const companies = held.get(slot) ?? []
      if (phase === "calling") companies.push(company)
      held.set(slot, companies)
    }
    const joining = new Map<Turn, Slot>()
    let apart = 0
    for (const turn of turns) {
      if (turn.slot !== undefined) continue
      // None goes before one that waits for a slot of its own.
      const open = apart > 0 ? undefined : [...held].find(([, companies]) => mayJoin(companies, turn.company))
      if (open === undefined) {
        apart++
        continue
      }
      open[1].push(turn.company)
      joining.set(turn, open[0])
    }
    return { held, joining, apart }
  }

  const free = () => {
    const { apart, held } = outlook()
    return slots - occupied - held.size - apart
  }

  const hasRoom = (): boolean => {
    const { apart, held } = outlook()
    const most = Math.max(1, ...[...turns].map(({ company }) => company?.most ?? 1))
    if (turns.size >= 2 * slots * most) return false
    const isOpen = apart === 0 && [...held.values()].some((companies) => mayJoin(companies, companies[0]))
    return isOpen || slots - occupied - held.size - apart + count("ending") > 0
  }

  const mayStart = (turn: Turn): boolean => {
    let before = occupied
    for (const other of turns) {
      if (other === turn) break
      if (turn.files !== undefined && other.files === turn.files) return true
      before++
    }
    return before < slots
  }

  const begin = (turn: Turn, slot: Slot) => {
    turn.phase = "calling"
    turn.slot = slot
    turn.called.openUnsafe()
  }

  // Lets in who may go on, in their order.
  const settle = () => {
    for (const turn of turns) {
      if (turn.phase === "waiting" && mayStart(turn)) {
        turn.phase = "preparing"
        turn.started.openUnsafe()
      }
      if (turn.phase !== "ready") continue
      const { held, joining } = outlook()
      const slot = joining.get(turn)
      if (slot !== undefined) begin(turn, slot)
      else if (occupied + held.size < slots) begin(turn, turn)
    }
  }

  return {
    free,
    hasRoom,
    add: (changed) => {
      const turn: Turn = {
        phase: "waiting",
        files: undefined,
        company: undefined,
        slot: undefined,
        started: Latch.makeUnsafe(),
        called: Latch.makeUnsafe()
      }
      turns.add(turn)
      return {
        start: (files, company) =>
          Effect.suspend(() => {
            turn.files = files
            turn.company = company
            settle()
            return turn.started.await
          }),
        begin: Effect.suspend(() => {
          if (turn.phase === "preparing") turn.phase = "ready"
          settle()
          const called = turn.phase === "ready" ? turn.called.await : Effect.void
          // Others may be taken to join it.
          return turn.company === undefined
            ? called
            : Effect.andThen(called, Effect.suspend(() => hasRoom() ? changed : Effect.void))
        }),
        ending: Effect.suspend(() => {
          if (turn.phase !== "calling") return Effect.void
          turn.phase = "ending"
          // One of the same form may take its place.
          settle()
          return changed
        }),
        end: Effect.suspend(() => {
          if (turn.phase !== "calling" && turn.phase !== "ending") return Effect.void
          turn.phase = "finishing"
          settle()
          // The next one calls its first network before this one goes on.
          return Effect.andThen(changed, Effect.yieldNow)
        }),
        isFinishing: () => turn.phase === "finishing",
        remove: () => {
          turns.delete(turn)
          settle()
        }
      }
    },
    occupied: () => occupied,
    occupy: () => {
      occupied++
    },
    leave: () => {
      occupied--
      settle()
    }
  }
}

// Whether a run may have the networks together with those that have them.
const mayJoin = (companies: ReadonlyArray<Company | undefined>, company: Company | undefined): boolean =>
  company !== undefined && companies.length > 0 &&
  companies.every((other) => other?.form === company.form) &&
  companies.length < Math.min(company.most, ...companies.map((other) => other?.most ?? 1))

/**
 * The files of the model that a run opens, as one text: the same for the same files. Undefined for a run that may open
 * more than one model: adapters, ControlNets, a refiner, another model for the second pass, the cells of a plot.
 *
 * @param opts The settings with those of the request over them.
 */
export const filesOf = (processing: Processing, opts: OptionsSnapshot): string | undefined => {
  const { control_units, negative_prompt, prompt, refiner_checkpoint, styles } = processing
  const hires = processing._tag === "Txt2Img" && processing.enable_hr
    ? [processing.hr_prompt, processing.hr_negative_prompt, processing.hr_checkpoint_name]
    : []
  // Tags of adapters stand in angle brackets, and may come from styles and wildcards.
  const opensMore = control_units.length > 0 || styles.length > 0 || refiner_checkpoint !== undefined ||
    firstAxis(processing) !== undefined || (hires[2] ?? "") !== "" ||
    [prompt, negative_prompt, ...hires].some((text) => text !== undefined && /<|__/.test(text))
  return opensMore ? undefined : modelSettings(opts)
}

/**
 * With which others a run may have the networks: those with the same files and size. Undefined for one that shares
 * none, or may open more than one model.
 *
 * @param opts The settings with those of the request over them.
 */
export const companyOf = (processing: Processing, opts: OptionsSnapshot): Company | undefined => {
  const files = filesOf(processing, opts)
  const { deepcache_interval, runs_per_call: most } = opts
  if (files === undefined || most === 1 || deepcache_interval > 1) return undefined
  const { height, tiling, width } = processing
  return { form: JSON.stringify([files, width, height, tiling]), most }
}
