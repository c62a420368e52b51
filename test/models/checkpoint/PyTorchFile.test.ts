import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { InvalidModelFile } from "../../../src/model/ModelError.ts"
import * as PyTorchFile from "../../../src/models/checkpoint/PyTorchFile.ts"
import { op, pickle, tensor, torchFile, zip } from "./torchFile.ts"

const opened = (bytes: Uint8Array) =>
  PyTorchFile.read("a.ckpt", {
    as: { path: "/a.ckpt", size: bytes.length, modified: 0 },
    read: (offset, length) =>
      offset + length > bytes.length
        ? Effect.fail(new InvalidModelFile({ file: "a.ckpt", problems: [{ path: "", message: "it is truncated" }] }))
        : Effect.succeed(bytes.slice(offset, offset + length))
  })

const refusal = (bytes: Uint8Array) => Effect.map(Effect.flip(opened(bytes)), ({ message }) => message)

const floats = (...values: ReadonlyArray<number>) => new Uint8Array(Float32Array.from(values).buffer)
const weights = { key: "0", storage: "FloatStorage", bytes: floats(1, 2, 3, 4, 5, 6), shape: [2, 3] }

describe("a file of torch", () => {
  it.effect("has its tensors where they lie in the archive, of every element type", () =>
    Effect.gen(function*() {
      const file = torchFile({
        "a.weight": weights,
        "a.bias": { key: "1", storage: "HalfStorage", bytes: new Uint8Array(8), offset: 1, shape: [3] },
        scale: { key: "2", storage: "BFloat16Storage", bytes: new Uint8Array(2), shape: [] },
        ids: { key: "3", storage: "LongStorage", bytes: new Uint8Array(616), shape: [1, 77] },
        small: { key: "4", storage: "Float8_e4m3fnStorage", bytes: new Uint8Array(4), shape: [4] }
      })
      const { files, tensors } = yield* opened(file)
      assert.deepStrictEqual(
        [...tensors.values()].map(({ length, name, shape, type }) => ({ name, type, shape, length })),
        [
          { name: "a.weight", type: "F32", shape: [2, 3], length: 24 },
          { name: "a.bias", type: "F16", shape: [3], length: 6 },
          { name: "scale", type: "BF16", shape: [], length: 2 },
          { name: "ids", type: "I64", shape: [1, 77], length: 616 },
          { name: "small", type: "F8_E4M3", shape: [4], length: 4 }
        ]
      )
      const { length = 0, offset = 0 } = tensors.get("a.weight") ?? {}
      assert.deepStrictEqual(new Uint8Array(file.subarray(offset, offset + length)), weights.bytes)
      assert.deepStrictEqual(files.map(({ size }) => size), [file.length])
    }))

  it.effect("may wrap the weights in state_dict, name parts of training, and nest them", () =>
    Effect.gen(function*() {
      const file = torchFile({ w: weights }, (state) =>
        op.dict(
          op.text("epoch"),
          op.int(3),
          op.text("callbacks"),
          op.dict(
            op.global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
            op.call(op.global("numpy.core.multiarray", "scalar"), op.none)
          ),
          op.text("state_dict"),
          op.dict(op.text("params_ema"), state)
        ))
      assert.deepStrictEqual([...(yield* opened(file)).tensors.keys()], ["params_ema.w"])
    }))

  it.effect("shares storages between tensors", () =>
    Effect.gen(function*() {
      const { tensors } = yield* opened(torchFile({ a: weights, b: { ...weights, offset: 3, shape: [3] } }))
      assert.strictEqual((tensors.get("b")?.offset ?? 0) - (tensors.get("a")?.offset ?? 0), 12)
    }))
})

const data = (value: Uint8Array) => zip({ "archive/data.pkl": pickle(value) })

describe("a hostile file of torch", () => {
  it.effect.each<readonly [module: string, name: string]>([
    ["os", "system"],
    ["posix", "system"],
    ["builtins", "eval"],
    ["builtins", "__import__"],
    ["__builtin__", "exec"],
    ["subprocess", "Popen"],
    ["torchfake", "load"]
  ])("that names %s.%s is refused, and nothing of it runs", ([module, name]) =>
    Effect.gen(function*() {
      const message = yield* refusal(data(op.call(op.global(module, name), op.text("touch /tmp/pwned"))))
      assert.include(message, `its pickle names "${module}.${name}", code that weights do not need`)
    }))

  it.effect.each<readonly [what: string, file: Uint8Array, message: RegExp]>([
    ["an empty pickle", zip({ "archive/data.pkl": new Uint8Array(0) }), /ends too early/],
    ["a text beyond its end", data(Buffer.from("X\xff\xff\xff\x7f", "latin1")), /ends too early/],
    ["nothing on the stack", data(Buffer.from("0")), /instruction "0"/],
    ["a call without a function", data(Buffer.from("R")), /where there is none/],
    ["a mark that is missing", data(Buffer.from("t")), /lacks a mark/],
    ["a memory that is empty", data(Buffer.from("h\x05")), /where there is none/],
    ["more values than any model", data(Buffer.alloc(600_000, "}")), /more than 500000 values/],
    ["a number of many bits", data(Buffer.from([0x8a, 200])), /more than 64 bits/],
    ["a line without an end", data(Buffer.from("cos")), /ends too early/],
    ["instructions of other protocols", data(Buffer.from("i")), /instruction "i"/],
    ["dictionaries within each other without end", data(Buffer.from("}q\0X\x01\0\0\0ah\0s")), /^/],
    ["compressed entries", zip({ "archive/data.pkl": pickle(op.dict()) }, 8), /archive is compressed/],
    ["no pickle", zip({ "model.safetensors": new Uint8Array(4) }), /torch did not save it/],
    ["big endian numbers", zip({ "a/data.pkl": pickle(op.dict()), "a/byteorder": Buffer.from("big") }), /"big"/],
    ["values beyond their storage", torchFile({ w: { ...weights, shape: [2, 4] } }), /w: its values end after/],
    ["an offset beyond its storage", torchFile({ w: { ...weights, offset: 5 } }), /w: its values end after/],
    ["a shape beyond numbers", torchFile({ w: { ...weights, shape: [2 ** 30, 2 ** 30, 2 ** 30] } }), /too large/],
    ["values in another order", torchFile({ w: { ...weights, strides: [1, 2] } }), /order of its shape/],
    ["an unknown element type", torchFile({ w: { ...weights, storage: "QInt8Storage" } }), /QInt8Storage/],
    ["values that are missing", data(op.dict(op.text("w"), tensor(weights))), /w: the archive lacks its values/],
    ["a shape of negative numbers", torchFile({ w: { ...weights, shape: [-2] } }), /rebuilds a tensor/]
  ])("with %s is refused", ([, file, message]) =>
    Effect.gen(function*() {
      const result = yield* Effect.result(opened(file))
      assert.match(result._tag === "Failure" ? result.failure.message : "", message)
    }))

  it.effect("whose pickle is changed anywhere is refused with the typed error, or has its tensors within it", () =>
    Effect.gen(function*() {
      let state = 20261129
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor(state / 2 ** 32 * below)
      }
      const source = pickle(
        op.dict(op.text("state_dict"), op.dict(op.text("w"), tensor(weights), op.text("n"), op.int(7)))
      )
      let refused = 0
      for (let i = 0; i < 500; i++) {
        const bytes = Buffer.from(source)
        for (let edits = 1 + random(3); edits > 0; edits--) bytes[random(bytes.length)] = random(256)
        const from = random(bytes.length)
        const torn = [
          bytes,
          bytes.subarray(0, from),
          Buffer.concat([bytes.subarray(0, from), bytes]),
          Buffer.concat([bytes.subarray(0, from), bytes.subarray(random(bytes.length))])
        ]
        const file = zip({ "a/data.pkl": torn[random(4)] ?? bytes, "a/data/0": weights.bytes })
        const result = yield* Effect.result(opened(file))
        if (result._tag === "Failure") {
          assert.instanceOf(result.failure, InvalidModelFile)
          refused++
          continue
        }
        for (const { length, offset } of result.success.tensors.values()) assert.isAtMost(offset + length, file.length)
      }
      assert.isAtLeast(refused, 250)
    }))

  it.effect("of any mutation is refused with the typed error or has its tensors within the file", () =>
    Effect.gen(function*() {
      let state = 20261129
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return state % below
      }
      const source = torchFile({ a: weights, b: { ...weights, offset: 3, shape: [3] } })
      let refused = 0
      for (let i = 0; i < 600; i++) {
        const bytes = Buffer.from(source)
        for (let edits = 1 + random(3); edits > 0; edits--) bytes[random(bytes.length)] = random(256)
        const cut = bytes.subarray(0, random(8) === 0 ? random(bytes.length) : bytes.length)
        const result = yield* Effect.result(opened(cut))
        if (result._tag === "Failure") {
          assert.instanceOf(result.failure, InvalidModelFile)
          refused++
          continue
        }
        for (const { length, offset } of result.success.tensors.values()) assert.isAtMost(offset + length, cut.length)
      }
      assert.isAtLeast(refused, 60)
    }))
})
