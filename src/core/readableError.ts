/**
 * How an error looks in a log.
 */
import { NodeInspectSymbol } from "effect/Inspectable"

/**
 * Makes the errors of a class print with their sentence: `console.error` shows the stack, which begins with tag and
 * message, and `JSON.stringify` the tag, the fields, the message and the stack. Without it both show the fields alone.
 * What crosses the wire is encoded by the schema instead, without message and stack.
 */
export const readableError = ({ prototype }: { readonly prototype: Error }): void => {
  Object.defineProperties(prototype, {
    toJSON: {
      value(this: Error) {
        return { ...this, message: this.message, stack: this.stack }
      }
    },
    [NodeInspectSymbol]: {
      value(this: Error) {
        return this.stack ?? String(this)
      }
    }
  })
}
