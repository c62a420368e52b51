/**
 * What several processes share.
 */

/** Whether several machines share a database. */
export const isShared = (database: string | undefined): boolean => /^postgres(?:ql)?:\/\//.test(database ?? "")

/** Whether a server shares its runs with other machines, and whether it executes those that any of them may. */
export const sharingOf = (
  { database, work }: { readonly database?: string | undefined; readonly work?: boolean | undefined }
): { readonly isShared: boolean; readonly works: boolean } => {
  const shared = isShared(database)
  return { isShared: shared, works: work ?? !shared }
}
