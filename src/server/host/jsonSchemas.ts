/**
 * JSON schemas for the descriptions of APIs that have no contract of their own.
 */
import type * as JsonSchema from "effect/JsonSchema"

export type Json = JsonSchema.JsonSchema

export const object = (properties: Readonly<Record<string, Json>>, required: ReadonlyArray<string> = []): Json => ({
  type: "object",
  properties,
  ...(required.length > 0 && { required: [...required] })
})

export const text: Json = { type: "string" }
