import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cp } from "node:fs/promises"
import { join } from "node:path"
import sharp from "sharp"
import { ModelsDir } from "../models/wholeVocabulary.ts"
import { folderWith, runEach } from "./reader.ts"

it.live("prompts weigh, change, and are styled", () =>
  Effect.gen(function*() {
    const { stdout: [same, styled] } = yield* runEach(yield* folderWith("prompts"), ["same.mts", "styled.mts"])
    assert.deepStrictEqual(same, [
      "a (yellow:1) star: the same image",
      "a (yellow:1.6) star: a different image",
      "[a red circle:a yellow star:0]: the same image",
      "[a red circle:a yellow star:3]: a different image",
      "a yellow star # and no more: the same image"
    ])
    assert.deepStrictEqual(styled, [
      "prompt: a white star, on a green background; negative prompt: small",
      "No style is named \"poster\": it was left out."
    ])
  }))

it.live("images are generated from init images, in whole and in part", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("image-to-image")
    const background = { r: 0, g: 0, b: 0 }
    const pair = sharp({ create: { width: 128, height: 128, channels: 3, background } })
    yield* Effect.promise(() => pair.png().toFile(join(folder, "pair.png")))
    const { stdout: [again, mask, inpaint] } = yield* runEach(folder, ["again.mts", "mask.mts", "inpaint.mts"])
    assert.deepStrictEqual(mask, [])
    assert.deepStrictEqual(again, ["128x128, seed 2", "128x128, seed 3"])
    assert.deepStrictEqual(inpaint, ["128x128", "extra image: mask, png"])
  }))

it.live("images are enlarged in a second pass, by an upscaler, and in tiles", () =>
  Effect.gen(function*() {
    const { stdout: [second, upscale, tiles] } = yield* runEach(yield* folderWith("larger-images"), [
      "second.mts",
      "upscale.mts",
      "tiles.mts"
    ])
    assert.deepStrictEqual(second, ["128x128, then 256x256", "before highres fix: 128x128", "final: 256x256"])
    assert.deepStrictEqual(upscale, ["None", "Lanczos", "Nearest", "320x320"])
    assert.deepStrictEqual(tiles, ["320x192"])
  }))

it.live("models are kept by use, and one goes on where another stopped", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("models")
    const embedded = join(folder, "node_modules/serena-runtime/models/shapes-128")
    for (const name of ["one", "two"]) {
      yield* Effect.promise(() => cp(embedded, join(folder, "models", name), { recursive: true }))
    }
    const { stdout: [resident, refiner] } = yield* runEach(folder, ["resident.mts", "refiner.mts"])
    assert.deepStrictEqual(resident, [
      "one",
      "two",
      "shapes-128, embedded",
      "in memory: one",
      "in memory: two, one",
      "in memory: shapes-128, two",
      "in memory: none"
    ])
    assert.deepStrictEqual(refiner, ["Refiner: two, Refiner switch at: 0.5"])
  }))

it.live("LoRAs act at the strengths of their tags", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("loras")
    const models = yield* ModelsDir
    yield* Effect.promise(() => cp(models, join(folder, "models"), { recursive: true }))
    const { stdout: [strengths] } = yield* runEach(folder, ["strengths.mts"])
    assert.deepStrictEqual(strengths, [
      "<lora:style:0>: the same image",
      "<lora:style:0.8>: a different image",
      "<lora:Fine Style:te=0:unet=1>: a different image",
      "No LoRA is named gold: it was left out.",
      "<lora:gold:1>: the same image"
    ])
  }).pipe(Effect.provide(ModelsDir.layer)))

it.live("images are followed as closely as the weight of a ControlNet says", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("controlnet")
    const models = yield* ModelsDir
    yield* Effect.promise(() => cp(models, join(folder, "models"), { recursive: true }))
    const { stdout: [follow] } = yield* runEach(folder, ["follow.mts"])
    const unit = "ControlNet 0: \"Module: canny, Model: edges"
    assert.deepStrictEqual(follow, [
      "weight 0: the same image",
      "no ControlNet",
      "weight 0.5: a different image",
      unit,
      "weight 1: a different image",
      unit
    ])
  }).pipe(Effect.provide(ModelsDir.layer)))

it.live("files have the names and formats that are asked for, and tell how they were made", () =>
  Effect.gen(function*() {
    const { stdout: [files, again] } = yield* runEach(yield* folderWith("output"), ["files.mts", "again.mts"])
    assert.deepStrictEqual(files, [
      "stars/shapes-128/a_green_star-7.webp",
      "stars/shapes-128/a_green_star-8.webp",
      "grid: stars/shapes-128/grid-0000.png"
    ])
    assert.deepStrictEqual(again, ["the same file: true", "the same file with one more step: false"])
  }))
