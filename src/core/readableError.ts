/**
 * How an error looks in a log.
 */
import { NodeInspectSymbol } from "effect/Inspectable"

/**
 * Makes the errors of a class print with their sentence: `console.error` shows the stack, which begins with tag and
 * message, and `JSON.stringify` the tag, the fields and the message. Without it both show the fields alone.
 */
export const readableError = ({ prototype }: { readonly prototype: Error }): void => {
  Object.defineProperties(prototype, {
    toJSON: {
      value(this: Error) {
        return { ...this, message: this.message }
      }
    },
    [NodeInspectSymbol]: {
      value(this: Error) {
        return this.stack ?? String(this)
      }
    }
  })
}
