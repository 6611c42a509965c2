// What went wrong, in words, and what can be done about it.

import { find, show } from "./page.js";
import { Problem } from "./service.js";

const LARGE_BYTES = 8e6;
const UNREADABLE = new Set([
  ...["not_audio", "unsupported_codec", "empty", "no_audio_track", "truncated", "corrupt"],
  ...["unsupported_rate", "too_many_channels", "non_finite", "decoder_failed", "decoder_timeout"],
  "unsupported_media_type",
]);
const MICROPHONE = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "no_microphone",
  OverconstrainedError: "no_microphone",
};
const ICONS = {
  offline: "offline",
  refused: "mic-off",
  no_microphone: "mic-off",
  microphone_busy: "mic-off",
  unauthorized: "key",
};

/** Which text fits: several codes need the same words and the same next step. */
function kindOf(problem) {
  const { code, status } = problem;
  if (["offline", "no_data", "unauthorized", "too_large", "too_long"].includes(code)) {
    return code;
  }
  if (!(problem instanceof Problem)) {
    return MICROPHONE[problem.name] ?? "microphone_busy";
  }
  if (UNREADABLE.has(code)) {
    return "unreadable";
  }
  if (status === 429) {
    return "limited";
  }
  if (problem.passing || code === "upload_timeout") {
    return "busy";
  }
  return status >= 500 ? "failed" : "generic";
}

/** Show a Problem of the service, or a DOMException of the microphone. */
export function showProblem(problem, { texts, blob, canRecord, focus = true }) {
  const kind = kindOf(problem);
  const say = (part, values) => {
    const key = `problem.${kind}.${part}`;
    return texts.has(key) ? texts.say(key, values) : "";
  };
  const large = kind === "offline" && blob?.size > LARGE_BYTES;
  const megabytes = texts.number((blob?.size ?? 0) / 1e6, 1);
  find("problem").dataset.kind = kind;
  find("problem-icon").setAttribute("href", `icons.svg#${ICONS[kind] ?? "alert"}`);
  find("problem-title").textContent = say("title");
  // The service's own sentence is English and names figures of this file.
  find("problem-text").textContent = say("text") || problem.detail || "";
  find("problem-do").textContent = large
    ? texts.say("problem.offline.large", { megabytes })
    : say("do", { seconds: texts.number(problem.retryAfterS ?? 60) });
  find("problem-reference").textContent = problem.requestId
    ? texts.say("problem.reference", { id: problem.requestId })
    : "";
  const again = Boolean(blob) && ["offline", "busy", "limited", "failed"].includes(kind);
  find("send-again").hidden = !again;
  find("key-form").hidden = kind !== "unauthorized";
  find("record-after-problem").hidden = !canRecord || kind === "unauthorized";
  find("record-after-problem").classList.toggle("primary", !again);
  find("choose-after-problem").hidden = kind === "unauthorized";
  show("problem", { focus });
}
