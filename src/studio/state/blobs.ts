/**
 * Image files in the browser's IndexedDB, one record for each use of the form, which persist across reloads.
 *
 * Storage is optional: without it, nothing is found and nothing fails; a full one is said once.
 */
import { isFull, sayFull } from "./persist.ts"

const storeName = "images"

let opened: Promise<IDBDatabase> | undefined

const open = (): Promise<IDBDatabase> => {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("serena", 2)
    request.addEventListener("upgradeneeded", () => request.result.createObjectStore(storeName))
    request.addEventListener("success", () => resolve(request.result))
    request.addEventListener("error", () => reject(request.error))
  })
  return opened
}

const use = async <A>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<A>
): Promise<A | undefined> => {
  try {
    const database = await open()
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(storeName, mode)
      const request = work(transaction.objectStore(storeName))
      transaction.addEventListener("complete", () => resolve(request.result))
      transaction.addEventListener("abort", () => reject(transaction.error))
    })
  } catch (error) {
    if (isFull(error)) sayFull()
    return undefined
  }
}

export const put = (key: string, value: unknown) => use("readwrite", (store) => store.put(value, key))

export const remove = (key: string) => use("readwrite", (store) => store.delete(key))

export const get = (key: string): Promise<unknown> => use<unknown>("readonly", (store) => store.get(key))

export const getBlob = async (key: string): Promise<Blob | undefined> => {
  const found = await get(key)
  return found instanceof Blob ? found : undefined
}

/** Removes all entries whose key begins with `prefix`, except those that `keeps` accepts. */
export const sweep = async (prefix: string, keeps: (key: string) => boolean): Promise<void> => {
  const keys = await use("readonly", (store) => store.getAllKeys())
  for (const key of keys ?? []) {
    if (typeof key === "string" && key.startsWith(prefix) && !keeps(key)) await remove(key)
  }
}
