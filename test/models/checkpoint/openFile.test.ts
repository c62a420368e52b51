import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { InvalidModelFile } from "../../../src/model/ModelError.ts"
import { contentsOf } from "../../../src/models/checkpoint/contents.ts"
import { checkUnchanged, openSafetensors, readSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import { largestHeader, mostTensors } from "../../../src/models/checkpoint/safetensorsHeader.ts"
import { contents, matching, unpack } from "./data.ts"

// A file in memory, read by the same code as one on disk.
const opened = (bytes: Uint8Array) =>
  readSafetensors("a.safetensors", {
    as: { path: "/a.safetensors", size: bytes.length, modified: 0 },
    read: (offset, length) => Effect.succeed(bytes.slice(offset, offset + length))
  })

const file = (header: string, data = 0): Uint8Array => {
  const text = new TextEncoder().encode(header)
  const bytes = new Uint8Array(8 + text.length + data)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
  bytes.set(text, 8)
  return bytes
}

const tensor = (begin: number, end: number, more: object = {}) => ({
  dtype: "F16",
  shape: [(end - begin) / 2],
  data_offsets: [begin, end],
  ...more
})

describe("a safetensors file", () => {
  it.effect("of every layout opens by its header alone: each tensor with its place", () =>
    Effect.gen(function*() {
      const names = matching("{checkpoints,adapters,embeddings,vaes,controlnets,upscalers}/*.safetensors")
      assert.isAtLeast(names.length, 60)
      for (const name of names) {
        const bytes = contents(name)
        const { tensors } = yield* opened(bytes)
        const inOrder = [...tensors.values()].toSorted((a, b) => a.offset - b.offset)
        assert.strictEqual((inOrder.at(-1)?.offset ?? 0) + (inOrder.at(-1)?.length ?? 0), bytes.length, name)
      }
    }))

  it.effect("may have tensors without dimensions and without elements, and texts about itself", () =>
    Effect.gen(function*() {
      const { metadata, tensors } = yield* opened(file(
        JSON.stringify({
          __metadata__: { ["__proto__"]: "c", ss_output_name: "a \"b\" \n é" },
          logit_scale: { dtype: "F32", shape: [], data_offsets: [0, 4] },
          v_pred: { dtype: "F32", shape: [0], data_offsets: [4, 4] },
          "odd place": { dtype: "BF16", shape: [1, 1], data_offsets: [4, 6] }
        }) + "   \n",
        6
      ))
      assert.deepStrictEqual(Object.entries(metadata), [["__proto__", "c"], ["ss_output_name", "a \"b\" \n é"]])
      assert.deepStrictEqual([...tensors.values()].map(({ length, name, shape }) => ({ name, shape, length })), [
        { name: "logit_scale", shape: [], length: 4 },
        { name: "v_pred", shape: [0], length: 0 },
        { name: "odd place", shape: [1, 1], length: 2 }
      ])
    }))

  it.effect.each<readonly [why: string, header: string, data: number, path: string, message: RegExp]>([
    ["data beyond the file", JSON.stringify({ w: tensor(0, 8) }), 4, "w", /ends 4 bytes after the file/],
    ["overlaps", JSON.stringify({ a: tensor(0, 8), b: tensor(4, 12) }), 12, "b", /overlaps/],
    ["gaps", JSON.stringify({ a: tensor(0, 2), b: tensor(4, 6) }), 6, "b", /2 bytes before its data/],
    ["bytes at the end", JSON.stringify({ a: tensor(0, 2) }), 6, "", /4 bytes after the last tensor/],
    ["a shape that needs more", JSON.stringify({ a: tensor(0, 2, { shape: [9] }) }), 2, "a", /2 bytes.* need 18/],
    ["a shape beyond numbers", JSON.stringify({ a: tensor(0, 2, { shape: [2 ** 30, 2 ** 30] }) }), 2, "a", /too large/],
    ["an end before its start", JSON.stringify({ a: tensor(4, 2, { shape: [] }) }), 4, "a", /before it begins/],
    ["an unknown element type", JSON.stringify({ a: tensor(0, 2, { dtype: "F4" }) }), 2, "a", /"F4" is not supported/],
    ["negative sizes", JSON.stringify({ a: tensor(0, 2, { shape: [-1] }) }), 2, "a", /no whole number/],
    ["fractions", JSON.stringify({ a: tensor(0, 2, { shape: [1.5] }) }), 2, "a", /no "\]"/],
    ["numbers that would be rounded", "{\"a\":{\"dtype\":\"U8\",\"shape\":[9007199254740993]", 0, "a", /below 2\^53/],
    ["too many dimensions", JSON.stringify({ a: tensor(0, 2, { shape: Array(9).fill(1) }) }), 2, "a", /more than 8/],
    [
      "a name that occurs twice",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{}}",
      0,
      "a",
      /twice/
    ],
    ["a field that occurs twice", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, "a", /its dtype occurs twice/],
    ["a missing field", JSON.stringify({ a: { dtype: "U8", shape: [] } }), 0, "a", /needs dtype/],
    ["an unknown field", JSON.stringify({ a: tensor(0, 2, { strides: [1] }) }), 2, "a", /"strides"/],
    [
      "a long name",
      JSON.stringify({ ["n".repeat(2000)]: tensor(0, 0) }),
      0,
      `${"n".repeat(117)}...`,
      /1024 characters/
    ],
    ["a name over several lines", JSON.stringify({ "a\nb": tensor(0, 2, { dtype: "?" }) }), 2, "a?b", /not supported/],
    ["metadata that are no texts", JSON.stringify({ __metadata__: { a: 1 } }), 0, "__metadata__", /no """/],
    ["metadata twice", "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, "__metadata__", /twice/],
    ["depth", `{"a":${"[".repeat(1e6)}`, 0, "a", /no "\{"/],
    ["text after the end", "{} {}", 0, "", /goes on after its end/],
    ["a header that is cut", "{\"a", 0, "", /ends within a text/],
    ["a wrong escape", "{\"\\x\":1}", 0, "", /wrong escape/]
  ])("with %s is refused by name", ([, header, data, path, message]) =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(opened(file(header, data)))
      assert.deepStrictEqual(problems.map(({ path }) => path), [path])
      assert.match(problems[0]?.message ?? "", message)
    }))

  it.effect("with more tensors than can be mapped is refused", () =>
    Effect.gen(function*() {
      const entries = Array.from({ length: mostTensors + 1 }, (_, i) => [`t${i}`, tensor(0, 0)])
      const { problems } = yield* Effect.flip(opened(file(JSON.stringify(Object.fromEntries(entries)))))
      assert.deepStrictEqual(problems, [{ path: "", message: `it has more than ${mostTensors} tensors` }])
    }))

  it.effect("is not what is too short, claims a huge header, ends within it, or has no text there", () =>
    Effect.gen(function*() {
      const claims = (length: bigint) => {
        const bytes = new Uint8Array(64)
        new DataView(bytes.buffer).setBigUint64(0, length, true)
        return bytes
      }
      const wrong: ReadonlyArray<readonly [Uint8Array, RegExp]> = [
        [new Uint8Array(0), /it has 0 bytes/],
        [claims(2n ** 64n - 1n), /more than the 33554432 that are read/],
        [claims(BigInt(largestHeader)), /ends within its header/],
        [claims(0n), /no object/],
        [claims(56n), /no object/],
        [Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0xff), /not text in UTF-8/]
      ]
      for (const [bytes, message] of wrong) assert.match((yield* Effect.flip(opened(bytes))).message, message)
    }))

  it.effect("of any mutation opens rightly or is refused with the typed error, and never fails otherwise", () =>
    Effect.gen(function*() {
      let state = 20261128
      // A linear congruential generator: the same mutations each time.
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return state % below
      }
      const sources = ["embeddings/sdxl-clip-l-clip-g.safetensors", "adapters/sd1-oft.safetensors"].map(contents)
      const tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "0",
        "9",
        "-1",
        "1e9",
        "null",
        "\"dtype\"",
        "\u0000",
        " "
      ]
      let refused = 0
      for (let i = 0; i < 1000; i++) {
        const source = sources[i % sources.length] ?? new Uint8Array()
        const length = Number(new DataView(source.buffer).getBigUint64(0, true))
        const bytes = source.slice()
        for (let edits = 1 + random(4); edits > 0; edits--) {
          const at = 8 + random(length)
          const token = new TextEncoder().encode(tokens[random(tokens.length)])
          if (random(4) === 0) bytes[random(8 + length)] = random(256)
          else bytes.set(token.subarray(0, bytes.length - at), at)
        }
        const end = random(5) === 0 ? random(bytes.length) : bytes.length
        const result = yield* Effect.match(opened(bytes.slice(0, end)), {
          onFailure: (error) => error,
          onSuccess: (source) => source
        })
        if (result instanceof InvalidModelFile) {
          refused++
          assert.lengthOf(result.problems, 1)
          continue
        }
        for (const { length, offset } of result.tensors.values()) assert.isAtMost(offset + length, end)
      }
      assert.isAtLeast(refused, 600)
    }))
})

interface Entry {
  dtype: unknown
  shape: unknown
  data_offsets: unknown
}

describe("a safetensors file with one lie", () => {
  const odd: ReadonlyArray<unknown> = [
    -1,
    0,
    1,
    1.5,
    2 ** 31,
    2 ** 53,
    1e308,
    null,
    true,
    "4",
    "",
    [],
    [0],
    [-1],
    [2 ** 40, 2 ** 40],
    Array(40).fill(1),
    {},
    { dtype: "F16" }
  ]
  const types = ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "U8", "BOOL", "f16", "F4", "C64", "\u0000"]
  const lies: Readonly<Record<string, (entry: Entry, pick: <A>(all: ReadonlyArray<A>) => A) => void>> = {
    dtype: (entry, pick) => entry.dtype = pick<unknown>([...types, ...odd]),
    shape: (entry, pick) => entry.shape = pick(odd),
    offsets: (entry, pick) => entry.data_offsets = pick(odd),
    begin: (entry, pick) => entry.data_offsets = [pick(odd), 8],
    end: (entry, pick) => entry.data_offsets = [0, pick(odd)]
  }

  it.effect.each([...Object.keys(lies), "name", "text", "bytes", "length", "end of file"])(
    "about %s is refused with the typed error, or all of its tensors lie in it and it is known by them",
    (about) =>
      Effect.gen(function*() {
        let state = 20261129
        const random = (below: number): number => {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0
          return Math.floor(state / 2 ** 32 * below)
        }
        const pick = <A>(all: ReadonlyArray<A>): A => {
          const one = all[random(all.length)]
          return one === undefined ? assert.fail("there is nothing to pick") : one
        }
        const source = contents("embeddings/sdxl-clip-l-clip-g.safetensors")
        const length = Number(new DataView(source.buffer).getBigUint64(0, true))
        const own = new TextDecoder().decode(source.subarray(8, 8 + length))
        const data = source.subarray(8 + length)
        let refused = 0
        for (let i = 0; i < 80; i++) {
          const header: Record<string, Entry> = JSON.parse(own)
          const name = pick(Object.keys(header))
          const entry = header[name] ?? assert.fail(name)
          lies[about]?.(entry, pick)
          let text = JSON.stringify(header)
          if (about === "name") {
            const others = [
              "__proto__",
              "constructor",
              "",
              "__metadata__",
              "\u0000",
              "\ud800",
              "a".repeat(5000),
              "../../x"
            ]
            text = text.replace(
              JSON.stringify(name),
              pick([JSON.stringify(pick(others)), `${JSON.stringify(name)}:{},"a"`])
            )
          }
          if (about === "text") {
            const at = random(text.length)
            const added = [
              "[".repeat(20_000),
              "{\"a\":".repeat(20_000),
              "\"",
              "\\",
              "\\u12",
              "1e999",
              text,
              "\u0000",
              "//"
            ]
            text = text.slice(0, at) + pick(added) + text.slice(at)
          }
          const written = new TextEncoder().encode(text)
          // What UTF-8 never has: lone halves, surrogates, more than a number of Unicode.
          const broken = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80]]
          if (about === "bytes") written.set(pick(broken).slice(0, 4), random(written.length - 4))
          const whole = new Uint8Array(8 + written.length + data.length)
          const lengths = [0, 1, 8, written.length - 1, written.length + 1, whole.length, 2 ** 31, 2 ** 52]
          const stated = about === "length" ? pick(lengths) : written.length
          new DataView(whole.buffer).setBigUint64(0, BigInt(stated), true)
          whole.set(written, 8)
          whole.set(data, 8 + written.length)
          const end = about === "end of file" ? random(whole.length) : whole.length
          const result = yield* Effect.result(opened(whole.slice(0, end)))
          if (result._tag === "Failure") {
            refused++
            assert.instanceOf(result.failure, InvalidModelFile)
            assert.lengthOf(result.failure.problems, 1)
            assert.isBelow(result.failure.message.length, 500)
            continue
          }
          const { tensors } = result.success
          for (const { length, offset } of tensors.values()) assert.isAtMost(offset + length, end)
          assert.isString(contentsOf(tensors).kind)
        }
        assert.isAtLeast(refused, 40)
      })
  )
})

describe("a file on disk", () => {
  it.effect("is opened by its real path", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack("embeddings/sd1-emb-params.safetensors")
      const real = `${folder}/embeddings/sd1-emb-params.safetensors`
      yield* fs.symlink(real, `${folder}/link.safetensors`)
      const source = yield* openSafetensors(`${folder}/link.safetensors`)
      assert.deepStrictEqual(source.files.map(({ path }) => path), [real])
      assert.deepStrictEqual([...source.tensors.values()].map(({ file }) => file), [real])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("that is missing or no file is refused", () =>
    Effect.gen(function*() {
      const folder = yield* unpack()
      assert.match((yield* Effect.flip(openSafetensors(`${folder}/none.safetensors`))).message, /there is no such file/)
      assert.match((yield* Effect.flip(openSafetensors(folder))).message, /it is not a file/)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("that changes or goes after it was opened is refused", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* unpack("embeddings/*.safetensors")
      const path = `${folder}/embeddings/sd1-emb-params.safetensors`
      const source = yield* openSafetensors(path)
      yield* checkUnchanged(source)
      yield* fs.utimes(path, new Date(), new Date(1e12))
      assert.match((yield* Effect.flip(checkUnchanged(source))).message, /changed after it was opened/)
      const again = yield* openSafetensors(path)
      yield* fs.truncate(path, 100)
      assert.match((yield* Effect.flip(checkUnchanged(again))).message, /changed after it was opened/)
      yield* fs.remove(path)
      assert.match((yield* Effect.flip(checkUnchanged(again))).message, /was removed/)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
