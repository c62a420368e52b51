/**
 * The memory of a process as Linux counts it. What it has of its own (RssAnon) is told apart from files that it maps
 * (RssFile), which the system drops when it needs their pages.
 */
import { readFileSync } from "node:fs"

/** MiB of a row of `/proc/self/status`. */
export const mebibytes = (row: "RssAnon" | "RssFile"): number =>
  Number(new RegExp(`${row}:\\s*(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024
