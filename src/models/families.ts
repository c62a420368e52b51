/**
 * The families of checkpoints by the names that their contents are recognised by.
 */
import type { Family } from "../families/Family.ts"
import { refiner } from "../families/refiner.ts"
import { sd1 } from "../families/sd1.ts"
import { sd2 } from "../families/sd2.ts"
import { sdxl } from "../families/sdxl.ts"
import type { FamilyName } from "./checkpoint/contents.ts"

const families: Readonly<Record<FamilyName, Family>> = { sd1, sd2, sdxl, "sdxl-refiner": refiner }

export const familyNamed = (name: FamilyName): Family => families[name]
