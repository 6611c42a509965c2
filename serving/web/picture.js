// Waveform and spectrogram on canvases, the coughs shaded, the place that plays marked.

import { spectrogram } from "./spectrum.js";

const TOP_HZ = 8000; // what the models hear
const RANGE_DB = 75;
const QUIETEST_TOP_DB = -45; // silence stays dark instead of being stretched to full contrast
const QUIETEST_PEAK = 0.1;
const AXIS = 16; // CSS pixels for the labels of the time axis

const RAMPS = {
  light: ["#f8faf8", "#d8ebe6", "#86c5bd", "#2f8f8c", "#14586a", "#0b2540"],
  dark: ["#0d1517", "#0f2c33", "#11545a", "#1f8a83", "#7fcfae", "#f4f7d2"],
};

export class Picture {
  /**
   * @param {{figure: HTMLElement, waveform: HTMLCanvasElement, spectrogram: HTMLCanvasElement,
   *   playhead: HTMLElement}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.sound = null;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(parts.figure);
  }

  /** @param {{samples: Float32Array, rateHz: number, events: object[], kilohertz: string} | null} sound */
  show(sound) {
    this.sound = sound;
    this.marked = undefined;
    this.parts.figure.hidden = sound === null;
    this.playing(null);
    this.draw();
  }

  get durationS() {
    return this.sound.samples.length / this.sound.rateHz;
  }

  /** The cough nearest to where the pointer is, if it is near one. */
  eventAt(pointer) {
    const box = this.parts.waveform.getBoundingClientRect();
    const seconds = ((pointer.clientX - box.left) / box.width) * this.durationS;
    const slackS = (12 / box.width) * this.durationS;
    const distance = (event) => Math.max(event.start_s - seconds, seconds - event.end_s, 0);
    const nearest = [...this.sound.events].sort((a, b) => distance(a) - distance(b))[0];
    return nearest && distance(nearest) <= slackS ? nearest : undefined;
  }

  /** Mark a place in seconds, or none. */
  playing(seconds) {
    const { playhead, waveform } = this.parts;
    playhead.hidden = seconds === null;
    if (seconds !== null) {
      playhead.style.transform = `translateX(${(seconds / this.durationS) * waveform.clientWidth}px)`;
    }
  }

  /** Draw one cough more strongly than the others. */
  highlight(event) {
    if (this.marked !== event) {
      this.marked = event;
      this.drawWaveform();
    }
  }

  draw() {
    if (this.sound && this.parts.figure.clientWidth) {
      this.drawWaveform();
      this.drawSpectrogram();
    }
  }

  drawWaveform() {
    const { context, width, height, colour } = prepare(this.parts.waveform);
    const { samples, events } = this.sound;
    const x = (seconds) => (seconds / this.durationS) * width;
    for (const [i, event] of events.entries()) {
      const left = x(event.start_s);
      const wide = Math.max(2, x(event.end_s) - left);
      context.fillStyle = colour(event === this.marked ? "--shade-strong" : "--shade");
      context.fillRect(left, 0, wide, height);
      context.fillStyle = colour("--accent-ink");
      context.font = `600 11px ${getComputedStyle(document.body).fontFamily}`;
      context.textAlign = "center";
      context.fillText(i + 1, left + wide / 2, 12);
    }
    const bounds = envelope(samples, Math.round(width));
    const loudest = bounds.reduce((peak, [low, high]) => Math.max(peak, -low, high), QUIETEST_PEAK);
    const middle = height / 2 + 6;
    const scale = (height / 2 - 10) / loudest;
    context.fillStyle = colour("--accent");
    for (const [column, [low, high]] of bounds.entries()) {
      const top = middle - high * scale;
      context.fillRect(column, top, 1, Math.max(1, (high - low) * scale));
    }
  }

  drawSpectrogram() {
    const { context, width, height, colour } = prepare(this.parts.spectrogram);
    const { samples, rateHz, events, kilohertz } = this.sound;
    const plotHeight = height - AXIS;
    const columns = Math.round(width);
    const found = spectrogram(samples, { rateHz, topHz: Math.min(TOP_HZ, rateHz / 2), columns });
    const image = paint(found, ramp(RAMPS[this.dark.matches ? "dark" : "light"]));
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, plotHeight);
    context.fillStyle = colour("--accent");
    for (const event of events) {
      const left = (event.start_s / this.durationS) * width;
      const wide = Math.max(2, ((event.end_s - event.start_s) / this.durationS) * width);
      context.fillRect(left, plotHeight, wide, 3);
    }
    context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = colour("--muted");
    context.textBaseline = "bottom";
    const step = tickStep(this.durationS, width);
    for (let seconds = 0; seconds <= this.durationS; seconds += step) {
      const at = (seconds / this.durationS) * width;
      context.textAlign = seconds === 0 ? "left" : at > width - 14 ? "right" : "center";
      context.fillText(`${Math.round(seconds * 10) / 10} s`, at, height);
    }
    context.textAlign = "left";
    context.textBaseline = "middle";
    for (const kHz of [2, 4, 6]) {
      const y = plotHeight * (1 - (kHz * 1000) / TOP_HZ);
      const label = `${kHz} ${kilohertz}`;
      context.fillStyle = colour("--card-veil");
      context.fillRect(0, y - 8, context.measureText(label).width + 8, 16);
      context.fillStyle = colour("--muted");
      context.fillText(label, 4, y + 0.5);
    }
  }
}

/** A canvas at the screen's own resolution, cleared; units are CSS pixels. */
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  return { context, width, height, colour: (name) => style.getPropertyValue(name).trim() };
}

/** [lowest, highest] sample of each column. */
function envelope(samples, columns) {
  const perColumn = samples.length / columns;
  return Array.from({ length: columns }, (_, column) => {
    let low = 0;
    let high = 0;
    const end = Math.min(samples.length, Math.ceil((column + 1) * perColumn));
    for (let i = Math.floor(column * perColumn); i < end; i++) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    return [low, high];
  });
}

function paint({ levels, rows, columns }, colours) {
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const top = levels.reduce((loudest, level) => Math.max(loudest, level), QUIETEST_TOP_DB);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const share = (levels[column * rows + row] - top + RANGE_DB) / RANGE_DB;
      pixels[(rows - 1 - row) * columns + column] = colours[Math.max(0, Math.floor(share * 255))];
    }
  }
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** 256 colours between the stops, as little-endian RGBA. */
function ramp(stops) {
  const parsed = stops.map((stop) => [1, 3, 5].map((at) => Number.parseInt(stop.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (parsed.length - 1);
    const low = Math.min(Math.floor(at), parsed.length - 2);
    const [r, g, b] = parsed[low].map((from, c) => from + (parsed[low + 1][c] - from) * (at - low));
    return (255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r);
  });
}

/** Seconds between labels, so that they stay apart. */
function tickStep(durationS, width) {
  const fitting = Math.max(1, Math.floor(width / 64));
  return [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30].find((step) => durationS / step <= fitting) ?? 60;
}
