import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as PromptSchedule from "../../src/prompt/PromptSchedule.ts"
import { Fragments, hostile, join } from "./fixtures.ts"

type Entries = ReadonlyArray<readonly [until: number, text: string]>

const entries = (text: string, options: Partial<PromptSchedule.ScheduleOptions> = {}): Entries =>
  PromptSchedule.make(text, { steps: 10, ...options }).entries.map(({ text, until }) => [until, text])

/** An entry for each of ten steps, options in turn. */
const turns = (...options: ReadonlyArray<string>): Entries =>
  Array.from({ length: 10 }, (_, i) => [i + 1, options[i % options.length] ?? ""])

const literal = (text: string): readonly [string, Entries] => [text, [[10, text]]]

describe("PromptSchedule.make, with ten steps", () => {
  it.each<readonly [string, Entries]>([
    ["test", [[10, "test"]]],
    ["a [b:3]", [[3, "a "], [10, "a b"]]],
    ["a [b: 3]", [[3, "a "], [10, "a b"]]],
    ["[from:to:0.3]", [[3, "from"], [10, "to"]]],
    ["a [b:.5] c", [[5, "a  c"], [10, "a b c"]]],
    ["[to:1]", [[1, ""], [10, "to"]]],
    ["[from::2]", [[2, "from"], [10, ""]]],
    ["[:b:5]", [[5, ""], [10, "b"]]],
    ["[a:b:0]", [[10, "b"]]],
    ["[a:b:-1]", [[10, "b"]]],
    ["[a:b:0.05]", [[10, "b"]]],
    ["[a:b:1]", [[1, "a"], [10, "b"]]],
    ["[a:b:1.0]", [[10, "a"]]],
    ["[a:b:10]", [[10, "a"]]],
    ["[a:b:11]", [[10, "a"]]],
    ["[a:0.999]", [[9, ""], [10, "a"]]],
    ["[a:1.5]", [[10, ""]]],
    ["[a:b:5e-1]", [[10, "b"]]],
    ["a [b : c : 1] d", [[1, "a b  d"], [10, "a  c  d"]]],
    ["[a: b :5]", [[5, "a"], [10, " b "]]],
    ["a [[[b]]:2]", [[2, "a "], [10, "a [[b]]"]]],
    ["[(a:2):3]", [[3, ""], [10, "(a:2)"]]],
    ["[a (b:1.2):c:5]", [[5, "a (b:1.2)"], [10, "c"]]],
    ["a[b:[c:d:2]:1]e", [[1, "abe"], [2, "ace"], [10, "ade"]]],
    ["[a:b:.25][c:d:.75]", [[2, "ac"], [7, "bc"], [10, "bd"]]],
    ["[a\\:b:c:5]", [[5, "a\\:b"], [10, "c"]]],
    literal("\\[a:b:5\\]"),
    literal("a [unbalanced"),
    literal("[a]"),
    literal("[a:b]"),
    literal("(a|b)"),
    literal("a|b"),
    literal("[a:b|c:5]"),
    literal("[a|b:5]"),
    literal("a [{b|d{:.5] c"),
    ["((a][:b:c [d:3]", [[3, "((a][:b:c "], [10, "((a][:b:c d"]]],
    ["[a|b|c]", turns("a", "b", "c")],
    ["[a|(b:1.1)]", turns("a", "(b:1.1)")],
    ["[fe|]male", turns("female", "male")],
    ["[fe|||]male", turns("female", "male", "male", "male")],
    ["[a||b]", turns("a", "", "b")],
    ["[[a|b]:5]", [...turns("", "").slice(0, 5), ...turns("a", "b").slice(5)]],
    ["[cat:dog:0.5] [x|y]", [...turns("cat x", "cat y").slice(0, 5), ...turns("dog x", "dog y").slice(5)]],
    ["((emphasis)), (emphasis1:1.1), [to:1], [from::2], [from:to:0.3], [alt|alt1]", [
      [1, "((emphasis)), (emphasis1:1.1), , from, from, alt"],
      [2, "((emphasis)), (emphasis1:1.1), to, from, from, alt1"],
      [3, "((emphasis)), (emphasis1:1.1), to, , from, alt"],
      ...turns(
        "((emphasis)), (emphasis1:1.1), to, , to, alt",
        "((emphasis)), (emphasis1:1.1), to, , to, alt1"
      ).slice(3)
    ]],
    ["[::5]", [[5, ""], [10, ""]]],
    // A stray bar takes the schedules beside it along, and so does a backslash with nothing to protect.
    literal("[a:b:5] (x|y)"),
    literal("[a:b:5] [x|y"),
    literal("[a:b:5] [x|y)"),
    literal("[a:b:5] \\"),
    literal("[a:b:5] \\\n"),
    // Attention with two colons fits nowhere; what is in it counts by itself.
    literal("[x:(b:c:d):5]"),
    ["(b:c:[p:q:3])", [[3, "(b:c:p)"], [10, "(b:c:q)"]]],
    ["[a:b:5]]", [[5, "a]"], [10, "b]"]]],
    ["[a:b:5\u00a0]", [[5, "a"], [10, "b"]]],
    literal("[a:b:5x]"),
    literal("[a:b:c:5]"),
    ["[a:b:1e999]", [[10, "a"]]],
    ["[a:b:-1e999]", [[10, "b"]]],
    literal("")
  ])("%j", (text, expected) => {
    assert.deepStrictEqual(entries(text), expected)
  })

  it("a hundred steps, and a long prompt", () => {
    const text = "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]" +
      "[ in foreground::0.6][: in background:0.25] [shoddy:masterful:0.5]"
    const start = "fantasy landscape with a"
    assert.deepStrictEqual(entries(text, { steps: 100 }), [
      [25, `${start} mountain and an oak in foreground shoddy`],
      [50, `${start} lake and an oak in foreground in background shoddy`],
      [60, `${start} lake and an oak in foreground in background masterful`],
      [75, `${start} lake and an oak in background masterful`],
      [100, `${start} lake and a christmas tree in background masterful`]
    ])
  })

  it("keeps distinct texts once", () => {
    const { entries, texts } = PromptSchedule.make("[a|b|a]", { steps: 6 })
    assert.deepStrictEqual(texts, ["a", "b"])
    assert.deepStrictEqual(entries.map(({ index }) => index), [0, 1, 0, 0, 1, 0])
  })
})

describe("PromptSchedule.make, in the second pass after ten steps", () => {
  it.each<readonly [string, Entries, Entries]>([
    ["a [b:.5] c", [[10, "a b c"]], [[5, "a b c"]]],
    ["a [b:1.5] c", [[5, "a  c"], [10, "a b c"]], [[2, "a  c"], [5, "a b c"]]],
    ["[a:b:12]", [[2, "a"], [10, "b"]], [[2, "a"], [5, "b"]]],
    ["[a:b:15]", [[5, "a"], [10, "b"]], [[5, "a"]]],
    ["[a:b:5]", [[10, "b"]], [[5, "b"]]]
  ])("%j", (text, ten, five) => {
    assert.deepStrictEqual(entries(text, { firstPassSteps: 10 }), ten)
    assert.deepStrictEqual(entries(text, { firstPassSteps: 10, steps: 5 }), five)
  })
})

describe("PromptSchedule.make, old scheduling", () => {
  it("takes numbers below 1 for shares and others for steps", () => {
    const old = { useOldScheduling: true }
    assert.deepStrictEqual(entries("[a:b:1.0]", old), [[1, "a"], [10, "b"]])
    assert.deepStrictEqual(entries("[a:b:1.0]"), [[10, "a"]])
    assert.deepStrictEqual(entries("[a:b:5e-1]", old), [[5, "a"], [10, "b"]])
    assert.deepStrictEqual(entries("[a:b:2.5]", old), [[2, "a"], [10, "b"]])
  })

  it("has no second pass of its own: it counts the first pass's steps", () => {
    assert.deepStrictEqual(
      entries("[a:b:.5]", { useOldScheduling: true, firstPassSteps: 10, steps: 4 }),
      [[5, "a"], [10, "b"]]
    )
  })
})

describe("PromptSchedule.entryAt", () => {
  const calls = (text: string, steps: number, count: number) => {
    const schedule = PromptSchedule.make(text, { steps })
    return Array.from({ length: count }, (_, call) => PromptSchedule.entryAt(schedule, call).text).join("")
  }

  it("uses an entry up to and including the call of its last step, and the first beyond the end", () => {
    assert.strictEqual(calls("[a:b:3]", 10, 13), "aaaabbbbbbbaa")
    assert.strictEqual(calls("[a|b|c]", 6, 9), "aabcabcaa")
    assert.strictEqual(calls("x", 3, 6), "xxxxxx")
  })

  it("counts two calls a step for second-order samplers", () => {
    assert.strictEqual(PromptSchedule.totalSteps(10, { secondOrder: false }), 10)
    const steps = PromptSchedule.totalSteps(10, { secondOrder: true })
    assert.strictEqual(steps, 20)
    assert.strictEqual(calls("[a:b:.5]", steps, 20), "aaaaaaaaaaabbbbbbbbb")
  })

  it.prop(
    "is the first entry that is not over",
    [Fragments, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))],
    ([fragments, call]) => {
      const schedule = PromptSchedule.make(join(fragments), { steps: 30 })
      const expected = schedule.entries.find(({ until }) => call <= until) ?? schedule.entries[0]
      assert.strictEqual(PromptSchedule.entryAt(schedule, call), expected)
    }
  )
})

/** A tree made of leaves by a stack machine. */
const Grown = Schema.Array(Schema.Struct({
  op: Schema.Literals(["text", "join", "change", "insert", "alternate"]),
  value: Schema.Finite,
  isShare: Schema.Boolean,
  text: Schema.Literals(["a", " ", "(b:1.2)", "\\[", "[c]", "é, 😀", "3"])
}))

const grow = (program: typeof Grown.Type): PromptSchedule.Sequence => {
  const stack: Array<PromptSchedule.Sequence> = []
  const pop = () => stack.pop() ?? []
  const concatenate = (a: PromptSchedule.Sequence, b: PromptSchedule.Sequence): PromptSchedule.Sequence => {
    const [last, first] = [a.at(-1), b[0]]
    return typeof last === "string" && typeof first === "string"
      ? [...a.slice(0, -1), last + first, ...b.slice(1)]
      : [...a, ...b]
  }
  for (const { isShare, op, text, value } of program) {
    const when = { value, isShare }
    if (op === "text") stack.push([text])
    else if (op === "join") stack.push(concatenate(pop(), pop()))
    else if (op === "change") stack.push([{ _tag: "Change", before: pop(), after: pop(), when }])
    else if (op === "insert") stack.push([{ _tag: "Change", before: [], after: pop(), when }])
    else stack.push([{ _tag: "Alternation", options: [pop(), pop(), pop()] }])
  }
  return stack.reduce(concatenate, [])
}

describe("PromptSchedule.print", () => {
  it("writes the shortest form", () => {
    const again = (text: string) => PromptSchedule.print(PromptSchedule.parse(text))
    assert.strictEqual(again("[:b: 5 ] [a:b:.50] [a::1e0] [a|b|] (x:1.2)"), "[b:5] [a:b:0.5] [a::1] [a|b|] (x:1.2)")
    assert.strictEqual(again("[a:b:5e-1] [a:b:1.e9999]"), "[a:b:5e-1] [a:b:1.e999]")
    assert.strictEqual(
      again("[a:+1.5e-9] [a:15e-10] [a:-1e9999] [a:-0] [a:1.e21]"),
      "[a:1.5e-9] [a:15e-10] [a:-1e999] [a:-0] [a:1.e21]"
    )
    assert.strictEqual(again("a|b"), "a|b")
  })

  it.prop("is undone by parse, for what parse gave", [Fragments], ([fragments]) => {
    const tree = PromptSchedule.parse(join(fragments))
    assert.deepStrictEqual(PromptSchedule.parse(PromptSchedule.print(tree)), tree)
  }, { arbitrary: { runs: 2000 } })

  it.prop("is undone by parse, for trees of any shape", [Grown], ([program]) => {
    const tree = grow(program)
    assert.deepStrictEqual(PromptSchedule.parse(PromptSchedule.print(tree)), tree, PromptSchedule.print(tree))
  }, { arbitrary: { runs: 1000 } })

  it("writes trees of any depth", () => {
    const text = `${"[a:".repeat(25_000)}b${":3]".repeat(25_000)}`
    assert.strictEqual(PromptSchedule.print(PromptSchedule.parse(text)), text)
  })
})

describe("every schedule", () => {
  it.prop(
    "has ascending entries up to the last step, at most one a step, none longer than the source",
    [Fragments, Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))],
    ([fragments, steps]) => {
      const source = join(fragments)
      const { entries, texts } = PromptSchedule.make(source, { steps })
      assert.isAtMost(entries.length, steps)
      assert.strictEqual(entries.at(-1)?.until, steps)
      assert.isTrue(entries.every(({ until }, i) => until >= 1 && until > (entries[i - 1]?.until ?? 0)))
      assert.isTrue(entries.every(({ index, text }) => texts[index] === text && text.length <= source.length))
      assert.strictEqual(new Set(texts).size, texts.length)
    }
  )

  it.prop("is made of any string", [Schema.String], ([text]) => {
    assert.isAtLeast(PromptSchedule.make(text, { steps: 5 }).entries.length, 1)
  })

  it("keeps that bound for a hundred thousand alternations in three hundred steps", () => {
    for (const [name, text] of hostile(100_000).filter(([, text]) => text.includes("|"))) {
      const { entries } = PromptSchedule.make(text, { steps: 300 })
      assert.isAtMost(entries.length, 300, name)
      assert.isTrue(entries.every((entry) => entry.text.length <= text.length), name)
    }
  })
})
