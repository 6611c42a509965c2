// Decoding and playing a recording in the browser.

const RATE_HZ = 48_000;

/** The decoded recording, or null where this browser cannot decode it (amr and 3gp, mostly). */
export async function decode(blob) {
  try {
    return await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(await blob.arrayBuffer());
  } catch {
    return null;
  }
}

/** The mean of all channels; (n_samples,) Float32Array. */
export function mono(buffer) {
  const mixed = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0; i < mixed.length; i++) {
      mixed[i] += samples[i] / buffer.numberOfChannels;
    }
  }
  return mixed;
}

export class Player {
  /**
   * Plays one stretch at a time.
   *
   * @param {AudioBuffer} buffer
   * @param {(at: {seconds: number, what: any} | null) => void} onTime on each frame; null at the end
   */
  constructor(buffer, onTime) {
    this.buffer = buffer;
    this.onTime = onTime;
  }

  /** Play from start to end in seconds; `what` comes back with the times. */
  async play(startS, endS, what) {
    this.stop();
    this.context ??= new AudioContext();
    const source = this.context.createBufferSource();
    this.source = source;
    await this.context.resume();
    if (this.source !== source) {
      return; // something else was asked for meanwhile
    }
    const from = Math.max(0, startS);
    const length = Math.min(this.buffer.duration, endS) - from;
    source.buffer = this.buffer;
    source.connect(this.context.destination);
    const began = this.context.currentTime;
    const follow = () => {
      const passed = this.context.currentTime - began;
      if (passed >= length) {
        this.stop();
        return;
      }
      this.onTime({ seconds: from + passed, what });
      this.frame = requestAnimationFrame(follow);
    };
    source.start(0, from, length);
    follow();
  }

  stop() {
    if (!this.source) {
      return;
    }
    cancelAnimationFrame(this.frame);
    this.source.onended = null;
    if (this.source.buffer) {
      this.source.stop();
    }
    this.source = null;
    this.onTime(null);
  }

  close() {
    this.stop();
    this.context?.close();
  }
}
