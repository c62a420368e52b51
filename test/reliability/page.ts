/** The page `docs/reliability.md`. */
import { page, prose, table } from "../docs/markdown.ts"
import { type Fault, faults } from "./faults.ts"

export const reliabilityPage = (): string =>
  page(
    "# Reliability",
    "<!-- Made by `npm run docs` from the tests. Do not edit. -->",
    prose(
      "This page lists the faults that Serena is tried with, how the test causes each one, how often it repeats it, and what " +
        "is lost at most. The tests use real processes, signals, sockets and file systems. Each row is the description that " +
        "its test reads, so a row that no test repeats cannot stand here."
    ),
    "```text\nnpm test              cause those that need no process\nnpm run test:slow     cause the others\nnpm run docs          regenerate this page\n```",
    ...Object.entries(faults).flatMap(([heading, rows]: readonly [string, Readonly<Record<string, Fault>>]) => [
      `## ${heading}`,
      table(
        ["fault", "how it is tried", "times", "what is lost", "test"],
        Object.values(rows).map(({ fault, file, lost, times, title = fault, tried }) => [
          fault,
          tried,
          String(times),
          lost,
          `[${title}](../${file})`
        ])
      )
    ])
  )
