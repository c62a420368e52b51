/**
 * What a server shares with other processes.
 */
import { isShared } from "../../runs/Stores.ts"

/** Whether a server shares its runs with other machines, and whether it executes those that any of them may. */
export const sharingOf = (
  { database, work }: { readonly database?: string | undefined; readonly work?: boolean | undefined }
): { readonly isShared: boolean; readonly works: boolean } => {
  const shared = isShared(database)
  return { isShared: shared, works: work ?? !shared }
}
