/**
 * What people get: a fresh clone, and the package as npm packs and installs it.
 *
 * Everything happens in new folders, with npm and the Node that runs this.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdtempSync, realpathSync } from "node:fs"
import { cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises"
import { homedir, tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import sharp from "sharp"
import { fileName, followed, isForClone, type Page, pages, project } from "../docs/pages.ts"
import { type Ended, follow, inTemporaryFolder, nodeFolder, savePrograms, shell } from "../docs/session.ts"

const folder = realpathSync(mkdtempSync(join(tmpdir(), "serena-package-")))
const clone = join(folder, "clone")
const user = join(folder, "user")
let tarball = ""

const page = (path: string): Page => {
  const found = pages().find((page) => page.path === path)
  if (found === undefined) throw new Error(`there is no ${path}`)
  return found
}

// The data folder is the user's, not the project's.
const inClone = (commands: string) =>
  shell(commands, { folder: clone, path: [nodeFolder], env: { ...quick, SERENA_DATA_DIR: join(folder, "data") } })

// No audits and funds, and no questions to the registry about what npm has in its cache.
const quick = { npm_config_audit: "false", npm_config_fund: "false", npm_config_prefer_offline: "true" }
const skip = { ...quick, ONNXRUNTIME_NODE_INSTALL: "skip" }

const asUser = (commands: string, own = user) => shell(commands, { folder: own, path: [nodeFolder], env: skip })

/** How a page says to install the package. */
const isInstallation = /(npm install) \/path\/to\/\S+\.tgz/

const succeeded = ({ code, stderr, stdout }: Ended): string => {
  assert.strictEqual(code, 0, stdout + stderr)
  return stdout
}

// Only what git would keep is cloned. A checkout with changes is cloned as it is, from a repository made for that.
const makeClone = async () => {
  const git = (cwd: string, ...args: ReadonlyArray<string>) => execFileSync("git", args, { cwd, encoding: "utf8" })
  let origin = project
  if (git(project, "status", "--porcelain") !== "") {
    origin = join(folder, "origin")
    const files = git(project, "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z").split(
      "\0"
    )
    const deleted = new Set(git(project, "ls-files", "--deleted", "-z").split("\0"))
    for (const file of files.filter((name) => name !== "" && !deleted.has(name))) {
      await cp(join(project, file), join(origin, file))
    }
    git(origin, "init", "--quiet")
    git(origin, "add", "--all")
    git(
      origin,
      "-c",
      "user.name=test",
      "-c",
      "user.email=test@example.com",
      "commit",
      "--quiet",
      "--message",
      "snapshot"
    )
  }
  git(folder, "clone", "--quiet", origin, clone)
}

beforeAll(async () => {
  await makeClone()
  await mkdir(user)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const picturesIn = async (stdout: string): Promise<ReadonlyArray<string>> => {
  const paths = stdout.split("\n").filter((line) => line.endsWith(".png"))
  for (const path of paths) assert.isTrue((await stat(path)).isFile(), path)
  return paths
}

const colours = {
  red: [255, 0, 0],
  blue: [0, 0, 255],
  yellow: [255, 255, 0],
  black: [0, 0, 0],
  white: [255, 255, 255],
  green: [0, 128, 0]
} as const

/** The names of the colours in the middle of a picture and in its corner. */
const coloursOf = async (path: string) => {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const nameAt = (x: number, y: number) => {
    const distance = (name: keyof typeof colours) =>
      colours[name].reduce<number>((sum, value, i) => sum + (value - (data[(y * info.width + x) * 3 + i] ?? 0)) ** 2, 0)
    const names = ["red", "blue", "yellow", "black", "white", "green"] as const
    return names.reduce((best, name) => distance(name) < distance(best) ? name : best)
  }
  return [nameAt(info.width / 2, info.height / 2), nameAt(4, 4)]
}

describe("a fresh clone", () => {
  it("makes an image with the README's commands, the same each time", async () => {
    const blocks = page("README.md").blocks.filter(isForClone)
    assert.isAbove(blocks.length, 0)
    let stdout = ""
    for (const { text } of blocks) stdout += succeeded(await inClone(text))
    const [path = ""] = await picturesIn(stdout)
    assert.isTrue(path.startsWith(clone), stdout)
    assert.deepStrictEqual(await coloursOf(path), ["yellow", "black"])

    const [again = ""] = await picturesIn(succeeded(await inClone("npm start")))
    assert.notStrictEqual(again, path)
    assert.isTrue((await readFile(path)).equals(await readFile(again)))
  })

  it("has nothing that git would want to keep, after that", async () => {
    assert.strictEqual(succeeded(await inClone("git status --porcelain")), "")
  })
})

describe("the package", () => {
  it("is packed small, with no tests, no training and no path of this machine", async () => {
    const packed = succeeded(await inClone(`npm pack --silent --pack-destination "${folder}"`))
    tarball = join(folder, packed.trim().split("\n").at(-1) ?? "")
    // Of these, the embedded model is 7 MiB, and the bundled command 2 MiB.
    assert.isBelow((await stat(tarball)).size, 13 * 1024 * 1024)
    succeeded(await shell(`tar -xzf "${tarball}"`, { folder, path: [] }))
    const packageFolder = join(folder, "package")
    const files = (await readdir(packageFolder, { recursive: true, withFileTypes: true })).filter((file) =>
      file.isFile()
    )
      .map((file) => join(file.parentPath, file.name))
    const names = files.map((file) => file.slice(packageFolder.length + 1))
    const command = ["cli/main.js", "core/workThread.js", "models/networkThread.js", "THIRD-PARTY.txt"]
    const wanted = ["package.json", "README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"]
    for (const name of [...wanted, ...command.map((name) => `dist/command/${name}`)]) assert.include(names, name)
    assert.deepStrictEqual(
      names.filter((name) => /(^|\/)(test|train|node_modules)\/|\.test\.|\.py$/.test(name)),
      []
    )
    for (const link of page("README.md").links.filter((link) => !/^(?:https?:|#)/.test(link))) {
      assert.include(names, link.split("#")[0], "the README's links lead to something in the package")
    }
    const machine = [folder, project.replace(/\/$/, ""), ...homedir() === "/" ? [] : [`${homedir()}/`]]
    for (const file of files) {
      const bytes = await readFile(file)
      for (const path of machine) assert.isFalse(bytes.includes(path), `${file} has ${path} in it`)
    }
  })

  it("is installed by npm, and makes an image of what was asked", async () => {
    succeeded(await asUser("npm init --yes"))
    succeeded(await asUser(`npm install "${tarball}"`))
    const [path = ""] = await picturesIn(
      succeeded(await asUser("npx serena txt2img --prompt 'a red circle on a blue background' --seed 1"))
    )
    assert.isTrue(path.startsWith(user))
    assert.deepStrictEqual(await coloursOf(path), ["red", "blue"])
  })

  it("gives a program the same file as the command", async () => {
    const blocks = page("README.md").blocks.filter(({ section }) => section === "A minimal program")
    await savePrograms(blocks, user)
    const program = blocks.find(({ language }) => language === "ts")
    assert.isDefined(program)
    const [, byProgram = ""] = /: (.*\.png)$/m.exec(succeeded(await asUser(`node ${fileName(program)}`))) ?? []
    const [byCommand = ""] = await picturesIn(
      succeeded(await asUser("npx serena txt2img --prompt 'a red circle on a blue background' --seed 1"))
    )
    assert.notStrictEqual(byProgram, byCommand)
    assert.isTrue((await readFile(byProgram)).equals(await readFile(byCommand)))
  })

  it("has types that strict programs compile with", async () => {
    const programs = followed(pages()).flatMap(({ blocks }) => blocks).filter(({ language }) => language === "ts")
    const own = join(user, "programs")
    await mkdir(own)
    for (const [index, block] of programs.entries()) {
      await writeFile(join(own, `${index}-${fileName(block)}`), `${block.text}\n`)
    }
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      module: "nodenext",
      target: "es2024",
      // Without skipLibCheck, so that our own declarations are checked as well. Effect's name types of the browser.
      lib: ["es2024", "dom"],
      types: ["node"],
      noEmit: true
    }
    await writeFile(join(own, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.mts"] }))
    const { code, stdout } = await asUser(`"${project}node_modules/.bin/tsc" --project programs`)
    assert.deepStrictEqual({ code, stdout }, { code: 0, stdout: "" })
  })

  it.each(["serena-runtime", "serena-runtime/testing"])(
    "loads no native module when %s is imported",
    async (specifier) => {
      const report = "console.log(JSON.stringify(process.report.getReport().sharedObjects))"
      const stdout = succeeded(
        await asUser(`node --input-type=module --eval 'await import("${specifier}"); ${report}'`)
      )
      const loaded: ReadonlyArray<string> = JSON.parse(stdout)
      assert.isAbove(loaded.length, 0)
      assert.deepStrictEqual(loaded.filter((name) => /onnxruntime|sharp|vips|\.node$/.test(name)), [])
    }
  )

  it("tells a Node that is too old in one sentence", async () => {
    const old = (process.env["PATH"] ?? "").split(delimiter).find((place) => {
      try {
        const version = execFileSync(join(place, "node"), ["-p", "process.versions.node"], { encoding: "utf8" })
        return /^(?:1\d|2[01])\./.test(version)
      } catch {
        return false
      }
    })
    // Where there is none, Node pretends.
    const pretend = "--import=data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.19.4'})"
    const { code, stderr, stdout } = await shell("node_modules/.bin/serena txt2img --prompt 'a heart'", {
      folder: user,
      path: [old ?? nodeFolder],
      env: old === undefined ? { NODE_OPTIONS: pretend } : {}
    })
    assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
    assert.match(stderr, /^Serena needs Node\.js 22\.19 or newer, and this is \d+\.\d+\.\d+\. .*\n$/)
  })

  it.each(followed(pages()).map(({ path }) => path))(
    "does what %s says, from its first line to its last",
    (path) =>
      inTemporaryFolder(async (own) => {
        const { blocks } = page(path)
        if (blocks.some(({ text }) => isInstallation.test(text))) {
          succeeded(await asUser("npm init --yes", own))
        } else {
          // Pages that do not say how to install begin where it is done.
          await cp(join(user, "package.json"), join(own, "package.json"))
          await symlink(join(user, "node_modules"), join(own, "node_modules"))
        }
        const differences = await follow(blocks, {
          folder: own,
          path: [nodeFolder],
          env: skip,
          passedOver: isForClone,
          mapped: (commands) => commands.replace(isInstallation, `$1 "${tarball}"`)
        })
        assert.deepStrictEqual(differences, [])
      })
  )
})
