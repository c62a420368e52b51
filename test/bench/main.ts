/**
 * `npm run bench`: what Serena adds to the networks, and what hooks add to a run.
 *
 *     npm run bench -- [--json] [--keep]
 */
import { parseArgs } from "node:util"
import { instrumentationCost } from "./instrumentationCost.ts"
import { begin, reportFlags } from "./report.ts"
import { runnerOverhead } from "./runnerOverhead.ts"
import { slowReaders } from "./slowReaders.ts"
import { wholeRun } from "./wholeRun.ts"

const report = begin("run", "npm run bench", parseArgs({ options: reportFlags }).values)
for (const measure of [wholeRun, runnerOverhead, slowReaders, instrumentationCost]) report.add(...await measure())
report.end()
