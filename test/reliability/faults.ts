/**
 * The faults that Serena is tried with: the rows of `docs/reliability.md`, and how often their tests repeat them.
 */
export interface Fault {
  /** What goes wrong. */
  readonly fault: string
  /** How the test makes it go wrong. */
  readonly tried: string
  /** How often. */
  readonly times: number
  /** What a user has lost after it, at most. */
  readonly lost: string
  /** The file of the test, from the project's folder. */
  readonly file: string
  /** The title of the test, where it is not the fault. */
  readonly title?: string
}

const commands = "test/reliability/commands.process.test.ts"
const servers = "test/reliability/servers.process.test.ts"

/** By the headings of the page. */
export const faults = {
  "Commands": {
    killed: {
      fault: "The process is killed",
      tried: "`SIGKILL` to `serena txt2img` of 100 batches, each time some batches later",
      times: 5,
      lost: "the batch being sampled and the batch being written; every file in the folder is whole",
      file: commands
    },
    diskFull: {
      fault: "The disk is full",
      tried: "100 batches into a tmpfs of 200 kB",
      times: 3,
      lost: "the image that did not fit and the batch being sampled; the run ends at once with exit code 1, and " +
        "prints the paths of the saved images",
      file: commands
    }
  },
  "Servers": {
    killedServer: {
      fault: "The server is killed",
      tried: "`SIGKILL` to `serena serve` during a run that saves its images",
      times: 5,
      lost:
        "the batch being sampled, the batch being written, and the queue; the server starts again on the same folders",
      file: servers
    },
    killedWhileSaving: {
      fault: "The server is killed while it saves a setting",
      tried: "`SIGKILL` at once after a `PATCH /v1/options` was sent",
      times: 10,
      lost: "nothing that was answered; the options file holds the old settings or the new ones",
      file: servers
    },
    clientGone: {
      fault: "The client goes away",
      tried: "the connection of `POST /sdapi/v1/txt2img` and of an event stream are destroyed during a run",
      times: 3,
      lost:
        "nothing; a run of `/v1` goes on, a run of `/sdapi/v1` ends and keeps what it saved, and the queue moves on",
      file: servers
    },
    damagedBodies: {
      fault: "A request is damaged",
      tried: "valid bodies of both APIs with bytes cut, repeated, flipped or inserted at random",
      times: 400,
      lost: "nothing; each is answered with a status below 500, and the server generates the same image afterwards",
      file: servers
    },
    remoteKilled: {
      fault: "A remote server is killed during a run",
      tried: "`SIGKILL` to the server that `RemoteRuntime` uses",
      times: 3,
      lost: "the run; it fails at once with a `RemoteServerError` that names the address",
      file: servers
    }
  }
} as const satisfies Readonly<Record<string, Readonly<Record<string, Fault>>>>
