/**
 * Whether a server starts with a file of settings.
 */
import { checkFile } from "./host/Settings.ts"
import { upstreamSettings } from "./sdapi/upstreamSettings.ts"

/** Reads a file of settings, and changes nothing. Fails with every problem named. */
export const checkSettings = (file: string) => checkFile(file, upstreamSettings)
