// The recorder page: which view is shown, and what leads from one to the next.

import { announce, find, icon, show } from "./page.js";
import { Picture } from "./picture.js";
import { showProblem } from "./problems.js";
import { Recording, SILENT_DBFS, canRecord, openMicrophone } from "./recorder.js";
import { coughButtons, showAnswer } from "./result.js";
import { Problem, installed, newKey, screen } from "./service.js";
import { Player, decode, mono } from "./sound.js";
import { SymptomForm } from "./symptoms.js";
import { Texts } from "./texts.js";

const SECONDS = 10;
const MARGIN_S = 0.12; // heard around a cough that is played
const HINT_AFTER_S = 3;
const AUDIBLE_DBFS = -50;
const TOO_LOUD_DBFS = -0.2;

const texts = new Texts(await (await fetch("catalogue.json")).json());
const symptoms = new SymptomForm();
const picture = new Picture({
  figure: find("picture"),
  waveform: find("waveform"),
  spectrogram: find("spectrogram"),
  playhead: find("playhead"),
});

/** The recording at hand and what became of it. */
const now = {
  blob: null,
  idempotencyKey: null,
  result: null,
  buffer: null,
  player: null,
  opening: false,
  turn: 0,
  recording: null,
  sending: null,
  problem: null,
  accessKey: null,
  model: null,
};

// --- Recording

async function record() {
  if (now.opening || !ready()) {
    return;
  }
  leave();
  const { turn } = now;
  now.opening = true;
  let stream;
  try {
    stream = await openMicrophone();
  } catch (error) {
    if (turn === now.turn) {
      fail(error);
    }
    return;
  } finally {
    now.opening = false;
  }
  if (turn !== now.turn) {
    stream.getTracks().forEach((track) => track.stop()); // a file was chosen meanwhile
    return;
  }
  const watch = levelWatch();
  now.recording = new Recording(stream, { seconds: SECONDS, onLevel: watch });
  watch({ peakDbfs: SILENT_DBFS, passedS: 0 });
  show("recording");
  announce(texts.say("recording.live", { seconds: texts.number(SECONDS) }));
  try {
    const blob = await now.recording.done;
    if (blob === null) {
      show("start");
      announce(texts.say("recording.cancelled"));
    } else if (blob.size === 0) {
      fail(new Problem("no_data"));
    } else {
      send(blob);
    }
  } catch (error) {
    fail(error);
  } finally {
    now.recording = null;
  }
}

/** Moves the dial and the meter, and says so where the level will not do. */
function levelWatch() {
  let loudest = SILENT_DBFS;
  let held = SILENT_DBFS;
  let left = SECONDS + 1;
  find("level-hint").textContent = "";
  return ({ peakDbfs, passedS }) => {
    loudest = Math.max(loudest, peakDbfs);
    held = Math.max(peakDbfs, held - 0.4);
    const share = (dbfs) => 1 - dbfs / SILENT_DBFS;
    find("bar").style.transform = `scaleX(${share(peakDbfs)})`;
    find("peak").style.left = `${100 * share(held)}%`;
    find("ring").style.strokeDashoffset = `${100 * Math.min(1, passedS / SECONDS)}`;
    const leftNow = Math.max(0, Math.ceil(SECONDS - passedS));
    if (leftNow === left) {
      return;
    }
    left = leftNow;
    find("seconds-left").textContent = texts.number(left);
    find("meter").setAttribute("aria-valuenow", Math.round(held));
    find("meter").setAttribute("aria-valuetext", texts.say("recording.level_value", { level: texts.number(held) }));
    if (left === SECONDS / 2) {
      announce(texts.say("recording.half", { seconds: texts.number(left) }));
    }
    const hint = loudest > TOO_LOUD_DBFS ? "too_loud" : loudest < AUDIBLE_DBFS ? "hear_nothing" : null;
    find("level-hint").textContent = hint && passedS >= HINT_AFTER_S ? texts.say(`recording.${hint}`) : "";
  };
}

/** Whether the person has agreed, and what they entered can be sent; otherwise goes to what is missing. */
function ready() {
  const consent = find("consent");
  find("consent-missing").textContent = consent.checked ? "" : texts.say("before.consent_missing");
  if (!consent.checked) {
    show("start", { focus: false });
    consent.focus();
  }
  return consent.checked && symptoms.check(texts);
}

function choose() {
  if (ready()) {
    find("file").value = ""; // the same file may be chosen twice
    find("file").click();
  }
}

// --- Sending

/** Send a recording, or the one at hand once more. */
async function send(blob, { idempotencyKey = newKey() } = {}) {
  leave();
  Object.assign(now, { blob, idempotencyKey, sending: new AbortController() });
  const { signal } = now.sending;
  find("sending-text").textContent = texts.say("sending.text");
  show("sending");
  const request = { blob, idempotencyKey, metadata: symptoms.metadata(), accessKey: now.accessKey };
  try {
    const result = await screen(request, { signal, onWait: sayWaiting });
    const buffer = await decode(blob);
    signal.throwIfAborted();
    Object.assign(now, { result, buffer });
    showResult();
  } catch (problem) {
    if (signal.aborted) {
      now.blob = null; // the form below may be submitted without it
      show("start");
      announce(texts.say("sending.cancelled"));
    } else {
      fail(problem);
    }
  } finally {
    now.sending = null;
  }
}

function sayWaiting({ problem, seconds, attempt, attempts }) {
  const why = problem.code === "offline" ? "network" : "busy";
  const values = { seconds: texts.number(Math.ceil(seconds)), attempt, attempts };
  find("sending-text").textContent = texts.say(`sending.waiting.${why}`, values);
  announce(find("sending-text").textContent);
}

// --- Showing

function showResult({ focus = true } = {}) {
  const { answer } = now.result;
  show("result", { focus });
  showAnswer(now.result, now.model, texts);
  const save = find("save");
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([JSON.stringify(answer, null, 2)], { type: "application/json" }));
  showSound(answer);
  if (focus) {
    announce(find("verdict-lead").textContent);
  }
}

function showSound({ events, quality }) {
  const duration = texts.number(quality.duration_s, 1);
  const values = { count: texts.number(events.length), duration, top: texts.number(8) };
  const { buffer } = now;
  find("play-all").hidden = buffer === null;
  find("coughs").hidden = buffer === null;
  if (buffer === null) {
    const times = events.map((event) => texts.number(event.start_s, 1)).join("; ") || "–";
    find("sound-summary").textContent = texts.say("sound.undrawable", { ...values, times });
    picture.show(null);
    return;
  }
  find("sound-summary").textContent = texts.count("sound.coughs", events.length, { duration });
  find("waveform").setAttribute("aria-label", texts.say("sound.waveform", values));
  find("spectrogram").setAttribute("aria-label", texts.say("sound.spectrogram", values));
  find("coughs").replaceChildren(...coughButtons(events, texts, playCough));
  const kilohertz = texts.say("sound.kilohertz");
  picture.show({ samples: mono(buffer), rateHz: buffer.sampleRate, events, kilohertz });
  now.player ??= new Player(buffer, followPlaying);
  followPlaying(null);
}

const playCough = (event) => now.player?.play(event.start_s - MARGIN_S, event.end_s + MARGIN_S, event);

function playAll() {
  if (find("play-all").dataset.playing) {
    now.player?.stop();
  } else {
    now.player?.play(0, now.buffer.duration, "all");
  }
}

function followPlaying(at) {
  picture.playing(at?.seconds ?? null);
  picture.highlight(now.result.answer.events.includes(at?.what) ? at.what : undefined);
  const all = find("play-all");
  const playing = at?.what === "all" ? "yes" : "";
  if (all.dataset.playing !== playing || !at) {
    all.dataset.playing = playing;
    const label = document.createElement("span");
    label.textContent = texts.say(playing ? "sound.stop" : "sound.play_all");
    all.replaceChildren(icon(playing ? "stop" : "play"), label);
  }
}

function fail(problem, { focus = true } = {}) {
  now.problem = problem;
  showProblem(problem, { texts, blob: now.blob, canRecord: canRecord(), focus });
}

/** Forget the last result before the next. */
function leave() {
  now.player?.close();
  now.turn++;
  Object.assign(now, { blob: null, result: null, buffer: null, player: null, problem: null });
}

/** All texts, in the language chosen; what is shown stays. */
function say() {
  texts.fill(document);
  document.title = texts.say("brand");
  find("symptoms-unused").hidden = now.model === null || now.model.uses.metadata;
  find("installed").textContent = now.model
    ? texts.say("footer.installed", { bundle: now.model.model.bundle_id })
    : "";
  if (now.result) {
    showResult({ focus: false });
  } else if (now.problem) {
    fail(now.problem, { focus: false });
  }
}

async function lookWhatIsInstalled() {
  try {
    now.model = await installed(now.accessKey);
    say();
  } catch {
    // Only a note depends on it; a recording meets the same trouble and says so.
  }
}

// --- Beginning

find("language").append(
  ...Object.entries(texts.catalogue).map(([language, { name }]) => {
    const option = new Option(name, language, false, language === texts.language);
    option.lang = language;
    return option;
  }),
);
find("language").addEventListener("change", (event) => {
  texts.choose(event.target.value);
  say();
});
for (const id of ["record", "record-again", "record-after-problem"]) {
  find(id).addEventListener("click", record);
}
for (const id of ["choose", "choose-again", "choose-after-problem"]) {
  find(id).addEventListener("click", choose);
}
find("file").addEventListener("change", ({ target }) => target.files.length && send(target.files[0]));
find("consent").addEventListener("change", () => (find("consent-missing").textContent = ""));
find("finish").addEventListener("click", () => now.recording?.finish());
find("cancel-recording").addEventListener("click", () => now.recording?.cancel());
find("cancel-sending").addEventListener("click", () => now.sending?.abort());
find("send-again").addEventListener("click", () => send(now.blob, { idempotencyKey: now.idempotencyKey }));
find("play-all").addEventListener("click", playAll);
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  now.accessKey = find("key").value.trim();
  find("key").value = "";
  lookWhatIsInstalled();
  if (now.blob) {
    send(now.blob, { idempotencyKey: now.idempotencyKey });
  } else {
    show("start");
  }
});
find("symptom-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (now.blob && ready()) {
    send(now.blob);
  }
});
find("picture").addEventListener("click", (event) => {
  const cough = picture.eventAt(event);
  if (cough) {
    playCough(cough);
  }
});

if (!canRecord()) {
  find("record").hidden = true;
  find("no-recording").hidden = false;
  find("record-again").hidden = true;
}
say();
show("start", { focus: false });
find("page").hidden = false;
lookWhatIsInstalled();
