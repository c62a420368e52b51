/**
 * Pictures that outlive a reload, and the server's own memory of them, in the browser's IndexedDB.
 *
 * All of it is a convenience: when the browser keeps nothing, nothing is found.
 */
const storeName = "pictures"

let opened: Promise<IDBDatabase> | undefined

const open = (): Promise<IDBDatabase> => {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("serena", 1)
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
  } catch {
    return undefined
  }
}

export const put = (key: string, blob: Blob) => use("readwrite", (store) => store.put(blob, key))

export const remove = (key: string) => use("readwrite", (store) => store.delete(key))

export const get = async (key: string): Promise<Blob | undefined> => {
  const found: unknown = await use<unknown>("readonly", (store) => store.get(key))
  return found instanceof Blob ? found : undefined
}

/** Forgets all pictures whose key begins with `prefix`, but for those that `keeps` wants. */
export const sweep = async (prefix: string, keeps: (key: string) => boolean): Promise<void> => {
  const keys = await use("readonly", (store) => store.getAllKeys())
  for (const key of keys ?? []) {
    if (typeof key === "string" && key.startsWith(prefix) && !keeps(key)) await remove(key)
  }
}
