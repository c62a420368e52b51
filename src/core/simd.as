/**
 * Arithmetic on vectors of 128 bits, in AssemblyScript. `npm run docs` compiles it into `simdModule.ts`.
 *
 * Places in memory are bytes. Loops end with whole vectors: what is read and written beyond the last sample is left to
 * the caller, who has room for it. `Simd.ts` says what each function is for.
 */

// --- Resizing. Sums are of 32 bits and go round, as those of Pillow do. A weight is high * 2^15 + low.

@inline const half: i32 = 1 << 21

@inline
function sumOf(low: v128, high: v128): v128 {
  return i32x4.shr_s(i32x4.add(i32x4.shl(high, 15), low), 22)
}

// Sums cut to bytes: those of the first four are the lowest.
@inline
function bytesOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d))
}

@inline
function dotted(sum: v128, first: v128, firstWeights: v128, second: v128, secondWeights: v128): v128 {
  return i32x4.add(
    i32x4.add(sum, i32x4.dot_i16x8_s(first, firstWeights)),
    i32x4.dot_i16x8_s(second, secondWeights)
  )
}

@inline
function storePixel(to: usize, pixel: v128, channels: usize): void {
  if (channels == 4) {
    v128.store32_lane(to, pixel, 0)
  } else {
    v128.store16_lane(to, pixel, 0)
    v128.store8_lane(to + 2, pixel, 2)
  }
}

// Four lines at a time, so that weights are read once for all of them; four samples of the window at a time. `first`
// and `second` place two pixels of sixteen bytes side by side, channel by channel.
@inline
function resampleColours(
  channels: usize,
  first: v128,
  second: v128,
  from: usize,
  row: usize,
  lines: i32,
  to: usize,
  width: usize,
  starts: usize,
  lengths: usize,
  low: usize,
  high: usize,
  stride: usize
): void {
  for (let line = 0; line < lines; line += 4) {
    let out = to
    for (let x: usize = 0; x < width; x++) {
      let at = from + <usize> load<i32>(starts + 4 * x) * channels
      let w = low + x * stride * 2
      let v = high + x * stride * 2
      const end = w + <usize> load<i32>(lengths + 4 * x) * 2
      let low0 = i32x4.splat(half)
      let low1 = low0
      let low2 = low0
      let low3 = low0
      let high0 = i32x4.splat(0)
      let high1 = high0
      let high2 = high0
      let high3 = high0
      while (w < end) {
        const lowA = v128.load32_splat(w)
        const lowB = v128.load32_splat(w, 4)
        const highA = v128.load32_splat(v)
        const highB = v128.load32_splat(v, 4)
        let pixels = v128.load(at)
        let a = i8x16.swizzle(pixels, first)
        let b = i8x16.swizzle(pixels, second)
        low0 = dotted(low0, a, lowA, b, lowB)
        high0 = dotted(high0, a, highA, b, highB)
        pixels = v128.load(at + row)
        a = i8x16.swizzle(pixels, first)
        b = i8x16.swizzle(pixels, second)
        low1 = dotted(low1, a, lowA, b, lowB)
        high1 = dotted(high1, a, highA, b, highB)
        pixels = v128.load(at + 2 * row)
        a = i8x16.swizzle(pixels, first)
        b = i8x16.swizzle(pixels, second)
        low2 = dotted(low2, a, lowA, b, lowB)
        high2 = dotted(high2, a, highA, b, highB)
        pixels = v128.load(at + 3 * row)
        a = i8x16.swizzle(pixels, first)
        b = i8x16.swizzle(pixels, second)
        low3 = dotted(low3, a, lowA, b, lowB)
        high3 = dotted(high3, a, highA, b, highB)
        at += 4 * channels
        w += 8
        v += 8
      }
      const results = bytesOf(sumOf(low0, high0), sumOf(low1, high1), sumOf(low2, high2), sumOf(low3, high3))
      const line = width * channels
      storePixel(out, results, channels)
      storePixel(out + line, v128.shuffle<i32>(results, results, 1, 1, 1, 1), channels)
      storePixel(out + 2 * line, v128.shuffle<i32>(results, results, 2, 2, 2, 2), channels)
      storePixel(out + 3 * line, v128.shuffle<i32>(results, results, 3, 3, 3, 3), channels)
      out += channels
    }
    from += 4 * row
    to += 4 * width * channels
  }
}

export function resampleRgb(
  from: usize,
  row: usize,
  lines: i32,
  to: usize,
  width: usize,
  starts: usize,
  lengths: usize,
  low: usize,
  high: usize,
  stride: usize
): void {
  resampleColours(
    3,
    i8x16(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1),
    i8x16(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1),
    from, row, lines, to, width, starts, lengths, low, high, stride
  )
}

export function resampleRgba(
  from: usize,
  row: usize,
  lines: i32,
  to: usize,
  width: usize,
  starts: usize,
  lengths: usize,
  low: usize,
  high: usize,
  stride: usize
): void {
  resampleColours(
    4,
    i8x16(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1),
    i8x16(8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1),
    from, row, lines, to, width, starts, lengths, low, high, stride
  )
}

// The sum of each vector's numbers.
@inline
function totals(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7))
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7))
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7))
}

@inline
function whole(low: v128, high: v128): v128 {
  return i32x4.add(i32x4.shl(high, 15), low)
}

// Four lines at a time, and eight samples of the window.
export function resampleGrey(
  from: usize,
  row: usize,
  lines: i32,
  to: usize,
  width: usize,
  starts: usize,
  lengths: usize,
  low: usize,
  high: usize,
  stride: usize
): void {
  for (let line = 0; line < lines; line += 4) {
    for (let x: usize = 0; x < width; x++) {
      let at = from + <usize> load<i32>(starts + 4 * x)
      let w = low + x * stride * 2
      let v = high + x * stride * 2
      const end = w + <usize> load<i32>(lengths + 4 * x) * 2
      let low0 = i32x4.splat(0)
      let low1 = low0
      let low2 = low0
      let low3 = low0
      let high0 = low0
      let high1 = low0
      let high2 = low0
      let high3 = low0
      while (w < end) {
        const lows = v128.load(w)
        const highs = v128.load(v)
        const a = v128.load8x8_u(at)
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(a, lows))
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(a, highs))
        const b = v128.load8x8_u(at + row)
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(b, lows))
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(b, highs))
        const c = v128.load8x8_u(at + 2 * row)
        low2 = i32x4.add(low2, i32x4.dot_i16x8_s(c, lows))
        high2 = i32x4.add(high2, i32x4.dot_i16x8_s(c, highs))
        const d = v128.load8x8_u(at + 3 * row)
        low3 = i32x4.add(low3, i32x4.dot_i16x8_s(d, lows))
        high3 = i32x4.add(high3, i32x4.dot_i16x8_s(d, highs))
        at += 8
        w += 16
        v += 16
      }
      const sums = i32x4.shr_s(
        i32x4.add(
          i32x4.splat(half),
          totals(whole(low0, high0), whole(low1, high1), whole(low2, high2), whole(low3, high3))
        ),
        22
      )
      const results = bytesOf(sums, sums, sums, sums)
      v128.store8_lane(to + x, results, 0)
      v128.store8_lane(to + width + x, results, 1)
      v128.store8_lane(to + 2 * width + x, results, 2)
      v128.store8_lane(to + 3 * width + x, results, 3)
    }
    from += 4 * row
    to += 4 * width
  }
}

// Sixteen bytes of a line at a time, and two lines of the window.
export function resampleColumns(
  from: usize,
  row: usize,
  lines: usize,
  to: usize,
  starts: usize,
  lengths: usize,
  low: usize,
  high: usize,
  stride: usize
): void {
  for (let y: usize = 0; y < lines; y++) {
    const begin = from + <usize> load<i32>(starts + 4 * y) * row
    const length = <usize> load<i32>(lengths + 4 * y)
    for (let x: usize = 0; x < row; x += 16) {
      let at = begin + x
      let w = low + y * stride * 2
      let v = high + y * stride * 2
      const end = w + length * 2
      let low0 = i32x4.splat(half)
      let low1 = low0
      let low2 = low0
      let low3 = low0
      let high0 = i32x4.splat(0)
      let high1 = high0
      let high2 = high0
      let high3 = high0
      while (w < end) {
        const lows = v128.load32_splat(w)
        const highs = v128.load32_splat(v)
        const first = v128.load(at)
        const second = v128.load(at + row)
        const a = i8x16.shuffle(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
        let pairs = i16x8.extend_low_i8x16_u(a)
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(pairs, lows))
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(pairs, highs))
        pairs = i16x8.extend_high_i8x16_u(a)
        low1 = i32x4.add(low1, i32x4.dot_i16x8_s(pairs, lows))
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(pairs, highs))
        const b = i8x16.shuffle(first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
        pairs = i16x8.extend_low_i8x16_u(b)
        low2 = i32x4.add(low2, i32x4.dot_i16x8_s(pairs, lows))
        high2 = i32x4.add(high2, i32x4.dot_i16x8_s(pairs, highs))
        pairs = i16x8.extend_high_i8x16_u(b)
        low3 = i32x4.add(low3, i32x4.dot_i16x8_s(pairs, lows))
        high3 = i32x4.add(high3, i32x4.dot_i16x8_s(pairs, highs))
        at += 2 * row
        w += 4
        v += 4
      }
      v128.store(
        to + x,
        bytesOf(sumOf(low0, high0), sumOf(low1, high1), sumOf(low2, high2), sumOf(low3, high3))
      )
    }
    to += row
  }
}

// --- Blurring. Sums of 16 bits never overflow, as all weights sum to 256.

export function blur(
  from: usize,
  to: usize,
  count: usize,
  middle: i32,
  distances: usize,
  weights: usize,
  taps: usize
): void {
  const centre = i16x8.splat(<i16> middle)
  for (let x: usize = 0; x < count; x += 16) {
    const at = from + x
    let value = v128.load(at)
    const rounding = i16x8.splat(128)
    let lower = i16x8.add(rounding, i16x8.mul(i16x8.extend_low_i8x16_u(value), centre))
    let upper = i16x8.add(rounding, i16x8.mul(i16x8.extend_high_i8x16_u(value), centre))
    for (let tap: usize = 0; tap < taps; tap++) {
      const distance = <usize> load<i32>(distances + 4 * tap)
      const weight = v128.load16_splat(weights + 2 * tap)
      const before = v128.load(at - distance)
      const after = v128.load(at + distance)
      lower = i16x8.add(
        lower,
        i16x8.mul(i16x8.add(i16x8.extend_low_i8x16_u(before), i16x8.extend_low_i8x16_u(after)), weight)
      )
      upper = i16x8.add(
        upper,
        i16x8.mul(i16x8.add(i16x8.extend_high_i8x16_u(before), i16x8.extend_high_i8x16_u(after)), weight)
      )
    }
    v128.store(to + x, i8x16.narrow_i16x8_u(i16x8.shr_u(lower, 8), i16x8.shr_u(upper, 8)))
  }
}

// --- MT19937

@inline
function twisted(state: usize, far: usize, words: usize): v128 {
  const mixed = v128.bitselect(v128.load(state), v128.load(state, 4), i32x4.splat(0x80000000))
  const odd = i32x4.neg(v128.and(mixed, i32x4.splat(1)))
  const next = v128.xor(
    v128.xor(v128.load(far), i32x4.shr_u(mixed, 1)),
    v128.and(odd, i32x4.splat(0x9908b0df))
  )
  v128.store(state, next)
  let word = v128.xor(next, i32x4.shr_u(next, 11))
  word = v128.xor(word, v128.and(i32x4.shl(word, 7), i32x4.splat(0x9d2c5680)))
  word = v128.xor(word, v128.and(i32x4.shl(word, 15), i32x4.splat(0xefc60000)))
  v128.store(words, v128.xor(word, i32x4.shr_u(word, 18)))
  return next
}

// The state goes on after its end with the four words that it begins with.
export function twist(state: usize, words: usize): void {
  v128.store(state + 624 * 4, twisted(state, state + 397 * 4, words))
  for (let i: usize = 4 * 4; i < 228 * 4; i += 4 * 4) twisted(state + i, state + i + 397 * 4, words + i)
  for (let i: usize = 228 * 4; i < 624 * 4; i += 4 * 4) twisted(state + i, state + i - 227 * 4, words + i)
}

// --- Normal values: logarithm, sine and cosine as fdlibm has them, two at a time

@inline
function times(a: v128, b: v128): v128 {
  return f64x2.mul(a, b)
}

@inline
function plus(a: v128, b: f64): v128 {
  return f64x2.add(a, f64x2.splat(b))
}

// One step of Horner's scheme.
@inline
function step(x: v128, sum: v128, next: f64): v128 {
  return plus(times(x, sum), next)
}

// Of numbers above 0 and up to 1.
@inline
function logOf(x: v128): v128 {
  const moved = i64x2.add(x, i64x2.splat((0x3ff00000 - 0x3fe6a09e) << 32))
  const exponent = f64x2.sub(
    v128.or(i64x2.shr_u(moved, 52), f64x2.splat(4503599627370496.0)),
    f64x2.splat(4503599627370496.0 + 1023.0)
  )
  const f = plus(i64x2.add(v128.and(moved, i64x2.splat(0x000fffffffffffff)), i64x2.splat(0x3fe6a09e << 32)), -1)
  const s = f64x2.div(f, plus(f, 2))
  const z = times(s, s)
  const w = times(z, z)
  let even = f64x2.splat(1.531383769920937332e-01)
  even = step(w, even, 2.222219843214978396e-01)
  even = step(w, even, 3.999999999940941908e-01)
  let odd = f64x2.splat(1.479819860510658591e-01)
  odd = step(w, odd, 1.818357216161805012e-01)
  odd = step(w, odd, 2.857142874366239149e-01)
  odd = step(w, odd, 6.666666666666735130e-01)
  const sum = f64x2.add(times(w, even), times(z, odd))
  const square = times(f64x2.splat(0.5), times(f, f))
  const rest = f64x2.add(
    times(s, f64x2.add(square, sum)),
    times(exponent, f64x2.splat(1.90821492927058770002e-10))
  )
  return f64x2.sub(
    times(exponent, f64x2.splat(6.93147180369123816490e-01)),
    f64x2.sub(f64x2.sub(square, rest), f)
  )
}

// Near enough to the middle of two single numbers that the last bits of a double could make it the other one.
@inline
function isDoubtful(value: v128): v128 {
  return i64x2.eq(
    v128.and(i64x2.add(value, i64x2.splat((1 << 10) - (1 << 28))), i64x2.splat((1 << 29) - (1 << 11))),
    i64x2.splat(0)
  )
}

// Two pairs.
@inline
function normalPairs(words: usize, out: usize): v128 {
  const bits = i32x4.splat(0xffffff)
  const first = v128.and(v128.load64_zero(words), bits)
  const x = times(
    f64x2.convert_low_i32x4_u(i32x4.sub(i32x4.splat(0x1000000), first)),
    f64x2.splat(1.0 / 16777216.0)
  )
  const radius = f64x2.sqrt(times(f64x2.splat(-2), logOf(x)))
  const turn = f32x4.mul(
    f32x4.convert_i32x4_s(v128.and(v128.load64_zero(words, 32), bits)),
    f32x4.splat(1.0 / 16777216.0)
  )
  const angle = f64x2.promote_low_f32x4(f32x4.mul(f32x4.splat(6.2831854820251465), turn))
  const quarters = f64x2.nearest(times(angle, f64x2.splat(6.36619772367581382433e-01)))
  const y = f64x2.sub(
    f64x2.sub(angle, times(quarters, f64x2.splat(1.57079632673412561417e+00))),
    times(quarters, f64x2.splat(6.07710050650619224932e-11))
  )
  const z = times(y, y)
  let sineTail = f64x2.splat(1.58969099521155010221e-10)
  sineTail = step(z, sineTail, -2.50507602534068634195e-08)
  sineTail = step(z, sineTail, 2.75573137070700676789e-06)
  sineTail = step(z, sineTail, -1.98412698298579493134e-04)
  sineTail = step(z, sineTail, 8.33333333332248946124e-03)
  sineTail = step(z, sineTail, -1.66666666666666324348e-01)
  const sine = f64x2.add(y, times(times(y, z), sineTail))
  let cosineTail = f64x2.splat(-1.13596475577881948265e-11)
  cosineTail = step(z, cosineTail, 2.08757232129817482790e-09)
  cosineTail = step(z, cosineTail, -2.75573143513906633035e-07)
  cosineTail = step(z, cosineTail, 2.48015872894767294178e-05)
  cosineTail = step(z, cosineTail, -1.38888888888741095749e-03)
  cosineTail = step(z, cosineTail, 4.16666666666666019037e-02)
  const cosine = f64x2.add(
    f64x2.sub(f64x2.splat(1), times(f64x2.splat(0.5), z)),
    times(times(z, z), cosineTail)
  )
  const quarter = plus(quarters, 4503599627370496.0)
  const isOdd = i64x2.neg(v128.and(quarter, i64x2.splat(1)))
  const two = i64x2.splat(2)
  const sineSign = i64x2.shl(v128.and(quarter, two), 62)
  const cosineSign = i64x2.shl(v128.and(i64x2.add(quarter, i64x2.splat(1)), two), 62)
  const a = times(radius, v128.xor(v128.bitselect(sine, cosine, isOdd), cosineSign))
  const b = times(radius, v128.xor(v128.bitselect(cosine, sine, isOdd), sineSign))
  v128.store64_lane(out, f32x4.demote_f64x2_zero(a), 0)
  v128.store64_lane(out + 32, f32x4.demote_f64x2_zero(b), 0)
  return v128.or(v128.or(isDoubtful(a), isDoubtful(b)), f64x2.eq(radius, f64x2.splat(0)))
}

export function normals(words: usize, out: usize, blocks: i32, doubtful: usize): i32 {
  let count = 0
  for (let block = 0; block < blocks; block++) {
    const doubts = v128.or(
      v128.or(normalPairs(words, out), normalPairs(words + 8, out + 8)),
      v128.or(normalPairs(words + 16, out + 16), normalPairs(words + 24, out + 24))
    )
    if (v128.any_true(doubts)) {
      store<i32>(doubtful + 4 * count, block)
      count++
    }
    words += 64
    out += 64
  }
  return count
}

// --- Colours, four pixels at a time, in single precision: good enough for all but a few

// Of numbers from 0.003 to 2: a guess by the exponent, and twice a step of Halley's.
@inline
function cubeRoot(x: v128): v128 {
  const third = i32x4.trunc_sat_f32x4_s(f32x4.mul(f32x4.convert_i32x4_s(x), f32x4.splat(1.0 / 3.0)))
  return nearer(nearer(i32x4.add(third, i32x4.splat(709921077)), x), x)
}

@inline
function nearer(root: v128, x: v128): v128 {
  const cube = f32x4.mul(f32x4.mul(root, root), root)
  const off = f32x4.div(f32x4.sub(cube, x), f32x4.add(f32x4.add(cube, cube), x))
  return f32x4.sub(root, f32x4.mul(root, off))
}

@inline
function scaled(a: v128, factor: f32): v128 {
  return f32x4.mul(a, f32x4.splat(factor))
}

// Numbers of a table for the bytes at `at` and every third one after it.
@inline
function looked(table: usize, at: usize): v128 {
  let found = v128.load32_zero(table + 4 * <usize> load<u8>(at))
  found = v128.load32_lane(table + 4 * <usize> load<u8>(at, 3), found, 1)
  found = v128.load32_lane(table + 4 * <usize> load<u8>(at, 6), found, 2)
  return v128.load32_lane(table + 4 * <usize> load<u8>(at, 9), found, 3)
}

@inline
function cone(value: v128): v128 {
  const bright = f32x4.gt(value, f32x4.splat(0.008856))
  return v128.bitselect(
    cubeRoot(f32x4.max(value, f32x4.splat(0.008))),
    f32x4.add(scaled(value, 7.787), f32x4.splat(16.0 / 116.0)),
    bright
  )
}

// Whether a number is nearer than `margin` to one that would be rounded otherwise; numbers have 0.5 added already.
@inline
function isUnsure(raised: v128, margin: v128): v128 {
  const rest = f32x4.sub(raised, f32x4.floor(raised))
  return f32x4.gt(
    f32x4.abs(f32x4.sub(rest, f32x4.splat(0.5))),
    f32x4.sub(f32x4.splat(0.5), margin)
  )
}

@inline
function byte(raised: v128): v128 {
  return i32x4.min_s(i32x4.trunc_sat_f32x4_u(raised), i32x4.splat(255))
}

// Three bytes of each number, of which there are room for sixteen.
@inline
function storeTriples(to: usize, first: v128, second: v128, third: v128): void {
  const packed = v128.or(first, v128.or(i32x4.shl(second, 8), i32x4.shl(third, 16)))
  v128.store(to, i8x16.swizzle(packed, i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)))
}

// Notes which of four pixels are marked.
@inline
function noted(marks: v128, pixel: i32, list: usize, count: i32): i32 {
  for (let bits = i32x4.bitmask(marks); bits !== 0; bits &= bits - 1) {
    store<i32>(list + 4 * count, pixel + ctz(bits))
    count++
  }
  return count
}

export function toLab(from: usize, to: usize, pixels: i32, linear: usize, doubtful: usize): i32 {
  let count = 0
  for (let pixel = 0; pixel < pixels; pixel += 4) {
    const red = looked(linear, from)
    const green = looked(linear, from + 1)
    const blue = looked(linear, from + 2)
    const luminance = f32x4.add(f32x4.add(scaled(red, 0.212671), scaled(green, 0.71516)), scaled(blue, 0.072169))
    const x = cone(f32x4.add(
      f32x4.add(scaled(red, 0.412453 / 0.950456), scaled(green, 0.35758 / 0.950456)),
      scaled(blue, 0.180423 / 0.950456)
    ))
    const y = cone(luminance)
    const z = cone(f32x4.add(
      f32x4.add(scaled(red, 0.019334 / 1.088754), scaled(green, 0.119193 / 1.088754)),
      scaled(blue, 0.950227 / 1.088754)
    ))
    const bright = f32x4.gt(luminance, f32x4.splat(0.008856))
    const l = f32x4.add(
      v128.bitselect(
        f32x4.sub(scaled(y, 116.0 * 2.55), f32x4.splat(16.0 * 2.55)),
        scaled(luminance, 903.3 * 2.55),
        bright
      ),
      f32x4.splat(0.5)
    )
    const a = f32x4.add(scaled(f32x4.sub(x, y), 500), f32x4.splat(128.5))
    const b = f32x4.add(scaled(f32x4.sub(y, z), 200), f32x4.splat(128.5))
    const margin = f32x4.splat(0.001)
    const unsure = v128.or(isUnsure(l, margin), v128.or(isUnsure(a, margin), isUnsure(b, margin)))
    storeTriples(to, byte(l), byte(a), byte(b))
    count = noted(unsure, pixel, doubtful, count)
    from += 12
    to += 12
  }
  return count
}

@inline
function fromCone(value: v128): v128 {
  return v128.bitselect(
    f32x4.mul(f32x4.mul(value, value), value),
    scaled(f32x4.sub(value, f32x4.splat(16.0 / 116.0)), 1.0 / 7.787),
    f32x4.gt(value, f32x4.splat(0.206893))
  )
}

// A sample from 0 to 255, with 0.5 added.
@inline
function encoded(linear: v128): v128 {
  const root = f32x4.sqrt(f32x4.sqrt(linear))
  const power = f32x4.mul(root, f32x4.sqrt(cubeRoot(f32x4.max(linear, f32x4.splat(0.003)))))
  return f32x4.add(
    v128.bitselect(
      scaled(linear, 12.92 * 255.0),
      f32x4.sub(scaled(power, 1.055 * 255.0), f32x4.splat(0.055 * 255.0)),
      f32x4.le(linear, f32x4.splat(0.0031308))
    ),
    f32x4.splat(0.5)
  )
}

@inline
function between(value: v128): v128 {
  return f32x4.min(f32x4.max(value, f32x4.splat(0)), f32x4.splat(1))
}

// The dark end of the curve is steep.
@inline
function isUnsureSample(linear: v128, raised: v128): v128 {
  return isUnsure(
    raised,
    v128.bitselect(f32x4.splat(0.002), f32x4.splat(0.012), f32x4.gt(linear, f32x4.splat(0.1)))
  )
}

@inline
function luminosity(red: v128, green: v128, blue: v128): v128 {
  return i32x4.add(
    i32x4.add(i32x4.mul(red, i32x4.splat(299)), i32x4.mul(green, i32x4.splat(587))),
    i32x4.mul(blue, i32x4.splat(114))
  )
}

export function recolour(
  from: usize,
  result: usize,
  to: usize,
  pixels: i32,
  tables: usize,
  doubtful: usize
): i32 {
  let count = 0
  for (let pixel = 0; pixel < pixels; pixel += 4) {
    const y = looked(tables, from)
    const luminance = looked(tables + 1024, from)
    const x = scaled(fromCone(f32x4.add(y, looked(tables + 2048, from + 1))), 0.950456)
    const z = scaled(fromCone(f32x4.sub(y, looked(tables + 3072, from + 2))), 1.088754)
    const linearRed = between(
      f32x4.sub(f32x4.sub(scaled(x, 3.240479), scaled(luminance, 1.53715)), scaled(z, 0.498535))
    )
    const linearGreen = between(
      f32x4.add(f32x4.sub(scaled(luminance, 1.875991), scaled(x, 0.969256)), scaled(z, 0.041556))
    )
    const linearBlue = between(
      f32x4.add(f32x4.sub(scaled(x, 0.055648), scaled(luminance, 0.204043)), scaled(z, 1.057311))
    )
    const raisedRed = encoded(linearRed)
    const raisedGreen = encoded(linearGreen)
    const raisedBlue = encoded(linearBlue)
    let unsure = v128.or(
      isUnsureSample(linearRed, raisedRed),
      v128.or(isUnsureSample(linearGreen, raisedGreen), isUnsureSample(linearBlue, raisedBlue))
    )
    const red = byte(raisedRed)
    const green = byte(raisedGreen)
    const blue = byte(raisedBlue)
    const wanted = v128.load(result)
    const moved = i32x4.sub(
      luminosity(
        i8x16.swizzle(wanted, i8x16(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1)),
        i8x16.swizzle(wanted, i8x16(1, -1, -1, -1, 4, -1, -1, -1, 7, -1, -1, -1, 10, -1, -1, -1)),
        i8x16.swizzle(wanted, i8x16(2, -1, -1, -1, 5, -1, -1, -1, 8, -1, -1, -1, 11, -1, -1, -1))
      ),
      luminosity(red, green, blue)
    )
    // Whole steps of a thousand, rounded: never negative, as 256 of them are added.
    const raised = i32x4.add(moved, i32x4.splat(256500))
    let steps = i32x4.trunc_sat_f32x4_s(scaled(f32x4.convert_i32x4_s(raised), 0.001))
    const rest = i32x4.sub(raised, i32x4.mul(steps, i32x4.splat(1000)))
    steps = i32x4.add(steps, i32x4.shr_s(rest, 31))
    steps = i32x4.sub(steps, i32x4.ge_s(rest, i32x4.splat(1000)))
    const tie = i32x4.eq(raised, i32x4.mul(steps, i32x4.splat(1000)))
    const lowest = i32x4.mul(i32x4.min_s(red, i32x4.min_s(green, blue)), i32x4.splat(1000))
    const highest = i32x4.mul(i32x4.max_s(red, i32x4.max_s(green, blue)), i32x4.splat(1000))
    unsure = v128.or(unsure, v128.or(tie, i32x4.lt_s(i32x4.add(lowest, moved), i32x4.splat(0))))
    unsure = v128.or(unsure, i32x4.gt_s(i32x4.add(highest, moved), i32x4.splat(255000)))
    const by = i32x4.sub(steps, i32x4.splat(256))
    const mask = i32x4.splat(255)
    storeTriples(
      to,
      v128.and(i32x4.add(red, by), mask),
      v128.and(i32x4.add(green, by), mask),
      v128.and(i32x4.add(blue, by), mask)
    )
    count = noted(unsure, pixel, doubtful, count)
    from += 12
    result += 12
    to += 12
  }
  return count
}
