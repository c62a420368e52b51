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
const kept = "test/reliability/kills.process.test.ts"
const several = "test/reliability/cluster.process.test.ts"
const restarts = "test/reliability/restarts.process.test.ts"

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
    },
    container: {
      fault: "A container leaves too little memory",
      tried: "768x768 pixels, and 2048x2048 through the VAE at once, in a control group of 900 MiB",
      times: 1,
      lost: "nothing; the first image is made, and the second refused with the memory it needs before it is sampled",
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
      lost: "the batch being made; the run fails at once with a `RemoteServerError` that names the address",
      file: servers
    },
    remoteClientKilled: {
      fault: "The client of a remote run is killed",
      tried: "`SIGKILL` to a program that makes 100 batches with `RemoteRuntime`, each time some batches later",
      times: 2,
      lost: "the batch being made on the server and the batch being written; every file in the folder is whole",
      file: servers
    },
    networkThread: {
      fault: "The thread of the networks dies in a call",
      tried: "the real thread is ended from within during a call of the denoising network",
      times: 1,
      lost: "that run; it fails with a typed error, and the next run starts a new thread",
      file: "test/models/Networks.slow.engine.test.ts",
      title: "fails with a typed error when its thread dies in a call, and goes on with a new thread"
    },
    memory: {
      fault: "A run does not fit the memory there is",
      tried: "2048x2048 pixels through the VAE at once, one image and four, on a server with `--max-memory` 900 MiB",
      times: 2,
      lost: "nothing; each is refused with the memory it needs, and the process stays below the limit",
      file: "test/slow/boundedMemory.measured.test.ts",
      title: "makes what fits within it, refuses the rest with numbers, and gives back what a large image took"
    },
    clock: {
      fault: "The clock jumps",
      tried: "three days back and one forward while one run executes and another waits",
      times: 6,
      lost: "nothing; both runs finish, and no time left is negative",
      file: "test/server/host/RunQueue.test.ts",
      title: "outlives jumps of the clock: no run is lost, and no progress leaves its bounds"
    },
    start: {
      fault: "Requests come while the server starts",
      tried: "one connection after the other from before the port is open",
      times: 100,
      lost: "nothing; each connection that is accepted is answered",
      file: "test/server/serve.process.test.ts",
      title: "answers every request that it accepts, from the first moment"
    },
    temporary: {
      fault: "The folder of temporary files cannot be written to",
      tried: "a server whose `TMPDIR` is a file",
      times: 1,
      lost: "nothing; the image is generated and saved",
      file: "test/server/serve.process.test.ts",
      title: "works where nothing can be written to the folder of temporary files"
    },
    fullDisk: {
      fault: "The disk of a server is full",
      tried: "a tmpfs without a free page under the data folder, the output folder and `TMPDIR`",
      times: 1,
      lost: "what should be saved: settings stay as they were, and a run that saves fails and says that the disk is " +
        "full; the server starts, and its images reach the clients",
      file: servers
    },
    twoServers: {
      fault: "Two servers are given one file of settings",
      tried: "under its own name and under a link's",
      times: 2,
      lost: "nothing; the second server is refused with the id of the process that holds the file",
      file: "test/server/Server.test.ts",
      title: "belongs to one server at a time, under every name of the file"
    },
    settingsDisk: {
      fault: "Settings cannot be saved",
      tried:
        "a folder in the place of the options file, for `POST /sdapi/v1/options` and a request that keeps its settings",
      times: 2,
      lost: "nothing; the settings stay as they were, in the reply too",
      file: "test/server/Server.test.ts",
      title: "that cannot be written changes nothing, and says what to do"
    }
  },
  "Kept runs": {
    kills: {
      fault: "The server is killed again and again",
      tried: "`SIGKILL` at random moments, while it starts, accepts and makes 40 runs; a client sends each of them " +
        "until it has an answer, and some again",
      times: 50,
      lost: "nothing; each run ends once, its images are those of an undisturbed run, and every file is whole",
      file: kept
    },
    stopped: {
      fault: "The server is stopped while it makes a run",
      tried: "`SIGTERM` to `serena serve` during a run of eight batches, and a start on the same data folder",
      times: 3,
      lost: "nothing; the batch in work is finished, no batch is made twice, and the next server makes the others",
      file: restarts
    },
    twoServersOneFolder: {
      fault: "Two servers use one data folder",
      tried: "eight runs, some submitted to both with one idempotency key, with a settings file for each server",
      times: 1,
      lost: "nothing; each run is made once, by one of them, and both show all of them",
      file: restarts
    },
    durableClientGone: {
      fault: "The client of a durable run goes away, and then the server",
      tried: "the connection of `POST /sdapi/v1/txt2img` with `durable` is destroyed, and the server killed",
      times: 1,
      lost: "nothing; the next server makes the rest, and the client finds its images by `force_task_id`",
      file: restarts
    },
    damagedDatabase: {
      fault: "The database of runs is damaged",
      tried: "a file with bytes overwritten, and a text file, in the place of `runs.sqlite`",
      times: 2,
      lost:
        "nothing more; the server does not start, says which file it is and what to do, and leaves the file as it is",
      file: restarts
    },
    readOnlyDatabase: {
      fault: "The database of runs is read-only",
      tried: "`runs.sqlite`, mounted read-only",
      times: 1,
      lost:
        "nothing; what is kept is shown, a new run is answered with 503 and the reason, and the log says what to do",
      file: restarts
    },
    fullWhileAccepting: {
      fault: "The disk becomes full while runs are accepted",
      tried: "a tmpfs under the data folder that is filled and freed again",
      times: 1,
      lost: "nothing that was accepted; the request is answered with 503 and the reason, and the server goes on when " +
        "there is space",
      file: restarts
    }
  },
  "Several machines": {
    clusterKills: {
      fault: "Workers are killed, and the database and the front end start again",
      tried: "`SIGKILL` to one of three `serena worker` after the other, PostgreSQL stopped and started once, and " +
        "`SIGKILL` to `serena serve` once, while 100 runs are made",
      times: 6,
      lost: "nothing; each run ends once, and its images are those of a single machine",
      file: several
    },
    restored: {
      fault: "The database is lost",
      tried: "its files are replaced by a copy that was made while it accepted runs, and the images by a later copy",
      times: 1,
      lost: "what was accepted after the copy; each run before it is there as it was, with its images",
      file: "test/runs/postgresFaults.process.test.ts",
      title: "are restored from a copy of the database that was made while it worked, and then of the files"
    },
    networkCut: {
      fault: "The network between a worker and the database is cut",
      tried: "a proxy that stops forwarding while the worker executes a run, until another worker has ended that run",
      times: 1,
      lost: "nothing; what the first worker reports late changes nothing",
      file: several
    },
    cutInTransaction: {
      fault: "The network is cut in the middle of a transaction",
      tried: "a proxy that stops forwarding once the statement has passed that locks a run",
      times: 1,
      lost: "nothing; the database ends the silent transaction after 5 seconds, and another worker takes the run",
      file: "test/runs/postgresFaults.process.test.ts",
      title: "go to another worker when the network is cut in the middle of a transaction on them"
    },
    clocks: {
      fault: "The clocks of a worker and of the front end jump",
      tried: "three days forward, and three back, while two workers make 16 runs (`libfaketime`)",
      times: 1,
      lost: "nothing; each run ends once, and its images are those of a single machine",
      file: several
    }
  },
  "Files": {
    imageBomb: {
      fault: "An image unpacks to much more than its size",
      tried: "an 8x8 PNG of 585 kB with forty texts of 15 MB each",
      times: 1,
      lost: "nothing; the texts are not unpacked",
      file: "test/images/ImageDecoder.slow.engine.test.ts",
      title: "unpacks no texts: forty of 15 MB in 585 kB cost nothing"
    },
    leftovers: {
      fault: "A killed process leaves half a file",
      tried: "temporary files of a process that has ended, of one that runs, and of this one",
      times: 1,
      lost: "nothing; only those of the ended process are removed, when the next process uses the folder",
      file: "test/images/ImageStore.process.test.ts",
      title: "are removed when a folder is checked or first written to, and no others are"
    },
    links: {
      fault: "The output folder is a link",
      tried: "a link to a folder, a link to nowhere, and links in a circle",
      times: 3,
      lost: "nothing; the link is followed, or the run is refused before any work",
      file: "test/images/ImageStore.test.ts",
      title: "follows a link to a folder, and says when it leads nowhere or in a circle"
    }
  }
} as const satisfies Readonly<Record<string, Readonly<Record<string, Fault>>>>
