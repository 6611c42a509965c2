// A short-time Fourier transform, small and without dependencies.

/** Transforms of one size; a size is a power of two. */
export class Fft {
  constructor(size) {
    this.size = size;
    this.cos = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sin = Float64Array.from({ length: size / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / size));
    const bits = Math.log2(size);
    this.order = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) {
        reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
      }
      return reversed;
    });
  }

  /** In place, radix 2, decimation in time (Cooley and Tukey 1965). */
  transform(re, im) {
    for (let i = 0; i < this.size; i++) {
      const j = this.order[i];
      if (j > i) {
        [re[i], re[j]] = [re[j], re[i]];
        [im[i], im[j]] = [im[j], im[i]];
      }
    }
    for (let half = 1; half < this.size; half *= 2) {
      const stride = this.size / (2 * half);
      for (let begin = 0; begin < this.size; begin += 2 * half) {
        for (let k = 0; k < half; k++) {
          const cos = this.cos[k * stride];
          const sin = this.sin[k * stride];
          const a = begin + k;
          const b = a + half;
          const bRe = re[b] * cos + im[b] * sin;
          const bIm = im[b] * cos - re[b] * sin;
          re[b] = re[a] - bRe;
          im[b] = im[a] - bIm;
          re[a] += bRe;
          im[a] += bIm;
        }
      }
    }
  }
}

/**
 * Levels over time and frequency: for each column the loudest of the frames that begin in it, so
 * that a short cough shows in a long recording too.
 *
 * @param {Float32Array} samples
 * @param {{rateHz: number, topHz: number, columns: number, size?: number}} options
 * @returns {{levels: Float32Array, rows: number, columns: number}} dB re a full-scale sine, column
 *   by column, each from low to high
 */
export function spectrogram(samples, { rateHz, topHz, columns, size = 1024 }) {
  const fft = new Fft(size);
  const window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  const rows = Math.min(size / 2, Math.floor((topHz / rateHz) * size));
  const levels = new Float32Array(columns * rows);
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  const perColumn = samples.length / columns;
  const frames = Math.max(1, Math.ceil(perColumn / size));
  for (let column = 0; column < columns; column++) {
    const out = levels.subarray(column * rows, (column + 1) * rows);
    for (let frame = 0; frame < frames; frame++) {
      const begin = Math.round(perColumn * (column + (frame + 0.5) / frames) - size / 2);
      for (let i = 0; i < size; i++) {
        re[i] = (samples[begin + i] ?? 0) * window[i];
      }
      im.fill(0);
      fft.transform(re, im);
      for (let row = 0; row < rows; row++) {
        out[row] = Math.max(out[row], re[row] ** 2 + im[row] ** 2);
      }
    }
  }
  const fullScale = (size / 4) ** 2; // a sine of amplitude 1 under a Hann window
  return { levels: levels.map((power) => 10 * Math.log10(power / fullScale + 1e-12)), rows, columns };
}
