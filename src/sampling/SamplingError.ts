/**
 * Errors for unknown samplers and schedulers.
 */
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import { didYouMean } from "../core/Text.ts"

export class UnknownSampler extends Schema.TaggedError<UnknownSampler>()("UnknownSampler", {
  sampler: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `No sampler is named "${this.sampler}". ${didYouMean(this.sampler, this.known)} See also "serena samplers".`
  }
}

export class UnknownScheduler extends Schema.TaggedError<UnknownScheduler>()("UnknownScheduler", {
  scheduler: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `No scheduler is named "${this.scheduler}". ${
      didYouMean(this.scheduler, this.known)
    } See also "serena samplers".`
  }
}
