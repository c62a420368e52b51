/**
 * The platform's place for a user's data. Effect is not imported here, as the command asks before it loads it.
 */
import type { PlatformPath } from "node:path"

/** The parts of a process that decide where the platform keeps a user's data. */
export interface Platform {
  readonly os: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
}

/**
 * The platform's folder: `$XDG_DATA_HOME/serena` or `~/.local/share/serena`, on macOS
 * `~/Library/Application Support/Serena`, on Windows `%LOCALAPPDATA%\Serena`.
 */
export const usualDataDir = (
  { env, home, os }: Platform,
  { isAbsolute, join }: Pick<PlatformPath, "isAbsolute" | "join">
): string => {
  if (os === "darwin") return join(home, "Library", "Application Support", "Serena")
  const given = env[os === "win32" ? "LOCALAPPDATA" : "XDG_DATA_HOME"] ?? ""
  // A relative path in XDG_DATA_HOME is to be ignored.
  if (os === "win32") return join(given === "" ? join(home, "AppData", "Local") : given, "Serena")
  return join(isAbsolute(given) ? given : join(home, ".local", "share"), "serena")
}
