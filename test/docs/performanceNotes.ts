/** What is known of the figures on `docs/performance.md`: why targets are missed, and what was tried. */
import { table } from "./markdown.ts"
import type { Section } from "./performance.ts"

const bare = "the same onnxruntime calls, nothing else"
const command = "`serena txt2img`, 1 step"

export const sections: ReadonlyArray<Section> = [
  {
    title: "A run",
    bench: "run",
    intro:
      "What Serena adds to the networks, with the embedded model at 128 x 128, 20 steps and guidance. Complete runs vary " +
      "more than hooks add to them. What those add is therefore also measured on a model that takes almost no time; the " +
      "time added there is added to any run of 20 steps.",
    missed: [{
      rows: [
        `a run of 20 steps, the image in memory / ${bare}`,
        `a run of 20 steps, the image written and synced / ${bare}`,
        `each of 5 runs in a row of 20 steps, the image in memory / ${bare}`,
        `each of 5 runs in a row of 20 steps, the image written and synced / ${bare}`
      ],
      why:
        "a call of this network takes 6 to 8 ms, so that little things count. By the clocks of both threads, a run spends 9 to " +
        "17 ms before its first call, 0.6 ms in each of 19 gaps between calls (0.1 to the other thread, 0.15 back, 0.24 of " +
        "sampler, guidance and what watches the run, flat in a profile), 4 ms after decoding, and 7 more to write and sync. " +
        "A single run comes after the work of another process, whose data fills the processor's caches: that costs a whole " +
        "program more than a loop of calls. On two cores of an AMD EPYC, where the networks are slower (259 ms) and threads wake " +
        "sooner, its ratios were 1.07 and 1.06."
    }],
    notes: [
      "A preview decoded in full after every step shares the processor with sampling. On a busy machine, with everything " +
      "slower, such a run took 544 ms, compared with 473 ms without previews."
    ]
  },
  {
    title: "The start",
    bench: "start",
    intro: "The command of the packed package, and the same from sources. The first round, which fills the cache of " +
      "compiled code, is left out.",
    missed: [{
      rows: [`${command}: process start to PNG`, `${command}: processor time`],
      why: "the table shows what is left. What a server that runs already saves of it is shown by `--via`."
    }],
    more: [
      "Processor time of the command by parts, in a profile (which adds some):",
      table(["part", "processor time"], [
        ["Node itself", "25 ms"],
        ["the main thread, most of it loading modules", "300 ms"],
        ["V8's threads: compiling, collecting garbage", "140 ms"],
        ["the networks' thread: onnxruntime (15), opening text encoder, UNet and VAE, one call of each (28)", "375 ms"],
        ["threads of the sessions", "51 ms"]
      ])
    ]
  },
  {
    title: "Checkpoints",
    bench: "checkpoint",
    flags: " -- --size 512 --size 256 --rounds 3 --sdxl",
    intro:
      "Checkpoints of random weights in float16, as large as real ones. Steps have two rows; their sides have a process " +
      "each.",
    missed: [
      {
        rows: ["open Stable Diffusion 1.5 (2.1 GB)", "open SDXL (6.9 GB)"],
        why:
          "onnxruntime reads the graph of the UNet, which has 5,100 nodes and 1,700 weights in SDXL, for three quarters of the " +
          "time. Building that graph takes a tenth."
      },
      {
        rows: ["a step, 512 x 512 / a bare session of the same graph"],
        why:
          "both make the same calls, and two processes of one side differ as much. In an execution with two of each, Serena's " +
          "took 1.04 and 0.995 of the first bare one, the second bare one 0.98; at 256 x 256 they took 1.02 and 1.00."
      },
      {
        rows: [
          "peak of private memory in a step, 512 x 512 / its values",
          "peak of private memory in a step, 256 x 256 / its values"
        ],
        why:
          "each weight is converted to float32 while its layer runs, which is more than the values that a step holds at once."
      }
    ],
    notes: [
      "A model that is given back leaves the room of heaps, which stays for the next one: opened and given back sixteen times, " +
      "the process took 148 MiB more the first time, 80 MiB more in all others, and 1 of them after the tenth. What V8 had in " +
      "use in its two threads did not grow.",
      "The weights stay in their file: reading 2.1 or 6.9 GB into memory is no part of these figures.",
      "The integer weights of int8 take 749 MB, and 16 to 18 s to make. The processor has AMX; others were not measured.",
      "Images of the embedded model in int8 differ from those in float32 by 0.30 of 255 levels on average (48 prompts that " +
      "name a background, 20 steps of Euler, CFG 5; the worst by 0.54, the PSNR 50.5 dB in the median and 45.2 at worst), all in " +
      "the same colours. Twice the deviation of bfloat16 is 0.32. Six prompts that leave the background open were 1.8 " +
      "apart: its shade is chance. On trained weights of Stable Diffusion nothing was measured.",
      "With half of the tokens merged, a step took 0.75 of the time at 768 x 768 and 0.63 at 1024 x 1024.",
      "With `--optimised`, in an execution before this one, a step took 1.23 to 1.78 of the time of the model that onnxruntime " +
      "optimises at 512 x 512, and 1.38 at 256 x 256 (the target is 1.2); 4 to 8 % of that went to a watch of its memory, which " +
      "has steps of its own since. That model is as large as the weights in float32. What `serena models optimize` keeps takes " +
      "0.78 and 0.70 of a step without.",
      "Rows stay in one call: one after the other gains nothing at 512 x 512, and loses more below."
    ]
  },
  {
    title: "Other programs",
    bench: "peers",
    flags: " -- --python PATH --sd-cpp PATH",
    intro:
      "A denoising step of two rows with guidance and Euler, at the size of Stable Diffusion 1.5, with random weights. " +
      "Each program has a process of its own; all of them are asked in turn, with as many threads as cores.",
    missed: []
  },
  {
    title: "Settings that trade likeness for time",
    bench: "choices",
    intro: "24 prompts with the embedded model in 20 steps at CFG 5. [Make images in less time]" +
      "(how-to/faster.md) says what each setting does.",
    notes: [
      "The embedded model is small: what is left of a step that reuses deep layers is a larger part of it. At the size of " +
      "Stable Diffusion 1.5 such a step takes less than a tenth, as [above](#checkpoints)."
    ]
  },
  {
    title: "Arithmetic outside the networks",
    bench: "arithmetic",
    intro:
      "Work on pixels and numbers: milliseconds of the processor, in all threads. The target is twice a good library's " +
      "time: sharp's in the same execution, OpenCV's (31 ms) and torch's (4.2 ms) on another machine of this size.",
    missed: [{
      rows: ["colour correction, 1024 x 1024", "2^20 numbers as torch draws them"],
      why:
        "those libraries compute in single precision, with vectors of 256 bits or more. WebAssembly's have 128, and Serena's bytes " +
        "follow formulas in double precision: most pixels and numbers are approximated, and those too near to another byte, " +
        "or to the middle between two single numbers, computed again (one pixel in fifty, one block of 16 numbers in 16,000). " +
        "All 2^24 colours have been compared with the formulas. In loops of JavaScript they took 452 and 28.7 ms."
    }],
    notes: [
      "Filters, colours and noise are computed by vectors of WebAssembly, with the bytes that they had. In loops of " +
      "JavaScript, Lanczos took 14.6 times as long as sharp and the blur of a mask 2.7 times. sharp's own bytes are not " +
      "Pillow's or OpenCV's, so it is no replacement where images must stay what they are.",
      "Two targets are missed that are not in this bench. A JPEG file of 1024 x 1024 takes 9.8 ms, Pillow's 2.3: sharp makes " +
      "tables for each image, without which files grow by a fifth, and their bytes change. Blending the tiles of 2048 x 2048 " +
      "takes 103 ms, another implementation 47: vectors and runs won nothing, as below.",
      "Drawings, where most pixels equal the one before, are compressed as before; the PNG is of a photograph.",
      "From 512 x 512 on, images become planes for the VAE, and planes pixels, in a thread of their own. Blending of tiles is " +
      "left to the main thread, in turns of a few milliseconds."
    ]
  },
  {
    title: "The server",
    bench: "server",
    flags: " -- --against CHECKOUT",
    intro: "Servers, clients and the library have a process each, on the same cores.",
    missed: [
      {
        rows: [
          "`GET /internal/ping`: processor time of a request / Effect's bare router",
          "`GET /sdapi/v1/progress`: processor time of a request / Effect's bare router",
          "`GET /sdapi/v1/samplers`: processor time of a request / Effect's bare router"
        ],
        why:
          "a request also gets an id, seven headers more, a check of its host, and a context with the server's services. In " +
          "turns with an older version, a ping took 26.3 us where that took 33, and a question for progress 36.4 us where that " +
          "took 66.9; the router took 14.5. A profile of a ping shows 11 us above the router: 4 in the call that sends more than " +
          "twice the bytes (365 for 156), 7 in node:http's check of the headers, in the middleware and in cleared memory. " +
          "Progress also asks the queue and writes its reply. Which run executes is read from the database again after each " +
          "change: every time, it took 550 us."
      }
    ],
    notes: [
      "The library does not keep its image in the first row. The server keeps it with its run, by four commits, of which none " +
      "waits for the disk where the client waits. When each did, 3.6 ms on this machine, 16 clients got 1.26 times the images " +
      "of the older version.",
      "Joint calls compute the networks of eight images of 64 x 64 in half of the time. What each run does otherwise stays.",
      "On a machine with a faster disk, crowds of 200 clients got 3033 images in 60 s.",
      "With server, client and library in one process, the ratio of an image over HTTP was 1.03 for the queue alone, 1.09 " +
      "including the text of the response, and 1.16 including HTTP and a client that parses it.",
      "Responses with constant lists are serialized once.",
      "Requests of a crowd are answered in their order. Up to nine earlier ones still waited while each request looked at the " +
      "models folders by itself; now those that come at one time share a look."
    ]
  },
  {
    title: "Kept runs",
    bench: "runs",
    intro:
      "Single calls of the store, with 200 and with 10,000 queued runs of twenty clients for eight models. PostgreSQL " +
      "runs on the same two cores, with durable commits.",
    missed: [{
      rows: ["take, PostgreSQL, 10000 queued: p99"],
      why:
        "it was 15 ms in an earlier execution, and was not examined further: the bench, the database and its disk share two " +
        "cores."
    }],
    notes: [
      "The figures with 200 runs are the first ones of the process, before its code is compiled.",
      "Listing 50 runs mostly decodes their records."
    ]
  },
  {
    title: "A cluster",
    bench: "cluster",
    intro: "Runs of 128 x 128 in 20 steps for the workers; of 64 x 64 in 2 batches of 10 steps for the readers.",
    missed: [{
      rows: ["runs per second of two workers of one thread, from PostgreSQL / one worker of one thread"],
      why:
        "on two cores the server, the database and the bench run as well, and take what is missing. One worker takes more than " +
        "one core: it prepares a run and writes another while its networks compute. Before it did, one made 3.9 runs per " +
        "second, two 6.7, and the ratio was 1.71. Two processes that do nothing but call the network, with one thread each, " +
        "are not slower than one: 25.2 calls per second each, 25.2 alone."
    }]
  }
]

/** What, what it gained, and why it was not taken. */
export const tries: ReadonlyArray<readonly [what: string, gained: string, why: string]> = [
  [
    "rows of a step one after the other",
    "2 to 6 % and an eighth of the memory at 512 x 512",
    "14 to 26 % slower at 256 x 256; bytes would depend on the size"
  ],
  [
    "calls of networks through shared memory (`Atomics.wait`, `waitAsync`) instead of messages",
    "nothing: 6.11 ms a call instead of 6.09; 6.15 with a spin of 200 us; 6.14 where all stays in the thread",
    "what is left is the waking of a thread"
  ],
  [
    "several steps in one visit of the thread",
    "9 ms of a run of the embedded model, by the gaps above; not built",
    "noise, ControlNets, refiners and pauses belong to the main thread; the loop of samplers would be there twice"
  ],
  [
    "embedded networks saved as onnxruntime optimises them",
    "100 ms of processor time at the start; the UNet opens in 55 ms instead of 110",
    "the form depends on the processor, and doubles the files"
  ],
  [
    "fewer optimisations of the embedded networks",
    "60 ms of processor time at the start",
    "20 steps take 322 ms instead of 262, and bytes may change"
  ],
  [
    "the command in a single file of 3 MB",
    "nothing: `--version` took 313 ms instead of 254",
    "parts that are not used load too"
  ],
  [
    "threads bundled apart from the command",
    "7 % of the start on a busy machine, 84 modules instead of 114",
    "the package grows by a megabyte"
  ],
  [
    "semi-spaces of 32 MB, garbage collection by one thread, no concurrent compiling",
    "0 to 5 % of the start",
    "flags of Node, which a command cannot set for itself"
  ],
  [
    "no spinning of threads, also within a call",
    "1.24 times the images of 16 clients, instead of 1.17",
    "a single run takes 3 % longer"
  ],
  [
    "tiles blended by vectors",
    "nothing; tiles of latents took 1.7 times as long",
    "copying to and from the vectors' memory takes what they save"
  ],
  ["tiles blended by runs; rows without weights where these are 1", "nothing (1.0)", "no gain"],
  ["JPEG without tables made for each image", "half the time", "files grow by a fifth, and their bytes change"],
  ["headers merged without a check", "1 us of a request", "Effect offers no such function"]
]
