import { assert, describe, it } from "@effect/vitest"
import { crossings, imports, roomOf, rooms } from "./rooms.ts"

const paths = rooms.map(({ path }) => path)

describe("the rooms", () => {
  it("are every folder of src", () => {
    const homeless = imports().flatMap(({ from, to }) => [from, to]).filter((file) => roomOf(file) === "")
    assert.deepStrictEqual(homeless, [])
  })

  it("are listed from the ground floor up", () => {
    const upward = rooms.flatMap(({ imports, path }, index) =>
      imports.filter((room) => paths.indexOf(room) >= index).map((room) => `${path} -> ${room}`)
    )
    assert.deepStrictEqual(upward, [])
  })

  it("import only the rooms that the table allows", () => {
    const allowed = new Map(rooms.map(({ imports, path }) => [path, imports]))
    const forbidden = crossings()
      .filter(({ from, to }) => !allowed.get(roomOf(from))?.includes(roomOf(to)))
      .map(({ from, to }) => `${from} imports ${to}: ${roomOf(from)} may not import ${roomOf(to)}`)
    assert.deepStrictEqual(forbidden, [])
  })

  it("import each room that the table allows: it grants nothing that no one needs", () => {
    const used = new Set(crossings().map(({ from, to }) => `${roomOf(from)} -> ${roomOf(to)}`))
    const unused = rooms.flatMap(({ imports, path }) =>
      imports.map((room) => `${path} -> ${room}`).filter((edge) => !used.has(edge))
    )
    assert.deepStrictEqual(unused, [])
  })
})
