// Recording from the microphone, as raw as the browser allows.

const TYPES = [
  "audio/webm;codecs=opus",
  "audio/mp4;codecs=mp4a.40.2",
  "audio/mp4",
  "audio/webm",
  "audio/ogg;codecs=opus",
];
const BITS_PER_SECOND = 128_000;

// What makes speech pleasant in a call removes coughs as noise.
const RAW = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

export const SILENT_DBFS = -60;

const bestType = () => TYPES.find((type) => MediaRecorder.isTypeSupported(type));

export function canRecord() {
  return Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder && bestType());
}

/** Ask for the microphone. Rejects with a DOMException whose `name` says why. */
export function openMicrophone() {
  return navigator.mediaDevices.getUserMedia({ audio: { ...RAW, channelCount: { ideal: 1 } } });
}

export class Recording {
  /**
   * Begins at once. `done` resolves with the recorded Blob, or null when it was cancelled.
   *
   * @param {MediaStream} stream from openMicrophone; closed at the end
   * @param {(at: {peakDbfs: number, passedS: number}) => void} onLevel many times a second
   */
  constructor(stream, { seconds, onLevel }) {
    this.stream = stream;
    this.cancelled = false;
    this.recorder = new MediaRecorder(stream, { mimeType: bestType(), audioBitsPerSecond: BITS_PER_SECOND });
    const pieces = [];
    this.recorder.ondataavailable = (event) => pieces.push(event.data);
    this.done = new Promise((resolve, reject) => {
      this.recorder.onstop = () => {
        this.close();
        resolve(this.cancelled ? null : new Blob(pieces, { type: this.recorder.mimeType }));
      };
      this.recorder.onerror = (event) => {
        this.close();
        reject(event.error ?? new DOMException("recording failed", "NotReadableError"));
      };
    });
    this.recorder.onstart = () => {
      this.began = performance.now();
      this.timer = setTimeout(() => this.finish(), seconds * 1000);
      this.watch(onLevel);
    };
    this.recorder.start();
  }

  finish() {
    if (this.recorder.state !== "inactive") {
      this.recorder.stop();
    }
  }

  cancel() {
    this.cancelled = true;
    this.finish();
  }

  watch(onLevel) {
    this.context = new AudioContext();
    const meter = this.context.createAnalyser();
    meter.fftSize = 4096;
    this.context.createMediaStreamSource(this.stream).connect(meter);
    const samples = new Float32Array(meter.fftSize);
    const look = () => {
      meter.getFloatTimeDomainData(samples);
      let peak = 0;
      for (const sample of samples) {
        peak = Math.max(peak, Math.abs(sample));
      }
      const peakDbfs = Math.max(SILENT_DBFS, 20 * Math.log10(peak + 1e-9));
      onLevel({ peakDbfs, passedS: (performance.now() - this.began) / 1000 });
      this.frame = requestAnimationFrame(look);
    };
    look();
  }

  close() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.stream.getTracks().forEach((track) => track.stop());
    this.context?.close();
  }
}
