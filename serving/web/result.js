// An answer of the service in words. Says what the answer holds and nothing more.

import { find, icon, make } from "./page.js";

const BASES = ["sound", "symptoms", "both"];
const ABSTAINED = "inconclusive";
const ICONS = { screened: "answer", inconclusive: "question", rerecord: "again" };

/** What a condition was judged from; today's answers come from the sound and do not say so. */
const basisOf = (condition) => condition.basis ?? "sound";

/** Everything about a result that is text; the picture is drawn elsewhere. */
export function showAnswer({ answer, unused, requestId }, model, texts) {
  showVerdict(answer, texts);
  showAnswers(answer, unused, texts);
  showReasons(find("advice"), answer.reasons, texts, (reason) => !reason.blocking, "sound.advice");
  showNumbers(answer, requestId, model, texts);
}

function showVerdict({ outcome, reasons }, texts) {
  find("verdict").dataset.outcome = outcome;
  find("verdict-icon").setAttribute("href", `icons.svg#${ICONS[outcome] ?? "info"}`);
  find("verdict-title").textContent = texts.say(`result.${outcome}.title`);
  find("verdict-lead").textContent = texts.say(`result.${outcome}.lead`);
  find("record-again").classList.toggle("primary", outcome === "rerecord");
  showReasons(find("blocking"), reasons, texts, (reason) => reason.blocking);
}

function showReasons(list, reasons, texts, wanted, heading) {
  const items = reasons.filter(wanted).map((reason) => reasonItem(reason, texts));
  if (heading && items.length) {
    items.unshift(make("li", { class: "reasons-heading" }, texts.say(heading)));
  }
  list.replaceChildren(...items);
  list.hidden = items.length === 0;
}

function reasonItem({ code, message }, texts) {
  if (!texts.has(`reason.${code}.title`)) {
    return make("li", { class: "reason" }, make("span", {}, message));
  }
  return make(
    "li",
    { class: "reason" },
    make("strong", {}, texts.say(`reason.${code}.title`)),
    make("span", {}, texts.say(`reason.${code}.do`)),
  );
}

function showAnswers({ outcome, conditions, notice_text }, unused, texts) {
  find("answers").hidden = outcome === "rerecord";
  const sent = unused.includes("metadata");
  const said = conditions.filter((condition) => condition.symptoms);
  find("answer-list").replaceChildren(
    ...BASES.map((basis) => basisSection(basis, conditions.filter((c) => basisOf(c) === basis), sent, said, texts)),
  );
  find("notice").textContent = texts.has("notice") ? texts.say("notice") : notice_text;
}

function basisSection(basis, conditions, metadataUnused, said, texts) {
  const section = make("div", { class: "basis" }, make("h3", {}, texts.say(`basis.${basis}`)));
  if (basis === "symptoms" && said.length) {
    section.append(...said.map((condition) => symptomPart(condition, texts)));
  } else if (basis === "both" && said.some(({ fused }) => fused)) {
    section.append(...said.filter(({ fused }) => fused).map((condition) => fusedPart(condition, texts)));
  } else if (!conditions.length) {
    section.classList.add("absent");
    const why = [texts.say("basis.not_answered")];
    if (metadataUnused && basis === "symptoms") {
      why.push(texts.say("basis.symptoms_sent"));
    }
    section.append(make("p", {}, why.join(" ")));
  }
  section.append(...conditions.map((condition) => conditionPart(condition, texts)));
  return section;
}

/** What the answers alone say: a probability, whose it is, and each answer's share. */
function symptomPart(condition, texts) {
  const { probability, prevalence, contributions } = condition.symptoms;
  const shares = Object.entries(contributions).map(([name, share]) => {
    const key = ["age", "sex"].includes(name) ? `symptoms.${name}` : `symptom.${name}`;
    return make("li", {}, texts.say(share > 0 ? "basis.share_for" : "basis.share_against", { what: texts.say(key) }));
  });
  const values = { probability: texts.percent(probability), prevalence: texts.percent(prevalence) };
  return make(
    "div",
    { class: "condition" },
    make("p", { class: "statement" }, make("strong", {}, `${nameOf(condition, texts)}:`), " ", texts.say("basis.symptoms_say", values)),
    make("ul", { class: "why" }, ...shares),
    make("p", { class: "why" }, texts.say("basis.symptoms_caveat")),
  );
}

/** Sound and answers together: a probability and what it rests on; never what decides. */
function fusedPart(condition, texts) {
  const { probability, prevalence, sound_counts: counts } = condition.fused;
  const values = { probability: texts.percent(probability), prevalence: texts.percent(prevalence) };
  return make(
    "div",
    { class: "condition" },
    make("p", { class: "statement" }, make("strong", {}, `${nameOf(condition, texts)}:`), " ", texts.say("basis.both_say", values)),
    make("p", { class: "why" }, texts.say(counts ? "basis.both_assumes" : "basis.both_symptoms_only")),
  );
}

function conditionPart(condition, texts) {
  const part = make(
    "div",
    { class: "condition" },
    make("p", { class: "statement" }, make("strong", {}, `${nameOf(condition, texts)}:`), " ", statement(condition, texts)),
  );
  if (condition.answer === ABSTAINED) {
    const why = condition.abstained_because.map((code) => make("li", {}, texts.say(`abstention.${code}`)));
    part.append(make("p", { class: "why" }, texts.say("abstained")), make("ul", { class: "why" }, ...why));
  }
  return part;
}

function nameOf({ name, title }, texts) {
  return texts.has(`condition.${name}`) ? texts.say(`condition.${name}`) : title;
}

function statement({ answer }, texts) {
  return texts.has(`answer.${answer}`) ? texts.say(`answer.${answer}`) : texts.say("answer.other", { answer });
}

function showNumbers(answer, requestId, installed, texts) {
  const { quality, source, model, timings_ms, conditions, cough_score } = answer;
  const number = (value, digits, unit) => `${texts.number(value, digits)} ${unit}`;
  const say = (key, values) => texts.say(`numbers.${key}`, values);
  const tables = [
    table(say("recording"), [
      [say("duration"), number(quality.duration_s, 2, "s")],
      [say("peak"), number(quality.peak_dbfs, 1, "dBFS")],
      [say("rms"), number(quality.rms_dbfs, 1, "dBFS")],
      [say("clipped"), texts.percent(quality.clipped_fraction, 2)],
      [say("snr"), quality.snr_db === null ? say("unmeasured") : number(quality.snr_db, 1, "dB")],
      [say("bandwidth"), number(quality.bandwidth_hz, 0, "Hz")],
      [say("format"), `${source.container}, ${source.codec}, ${number(source.rate_hz, 0, "Hz")}`],
    ]),
    table(say("gate"), [
      [say("cough_score"), texts.percent(cough_score, 1)],
      [say("cough_count"), texts.number(answer.events.length)],
    ]),
    ...conditions.map((condition) => {
      const classes = installed?.conditions.find(({ name }) => name === condition.name)?.classes;
      return conditionTable(condition, classes?.[1] ?? say("positive_class"), texts, say);
    }),
    table(say("service"), [
      [say("model"), model.bundle_id],
      [say("took"), number(timings_ms.total, 0, "ms")],
      [say("request"), requestId],
    ]),
  ];
  find("number-tables").replaceChildren(...tables);
}

/** `positive`: the class whose probability it is. */
function conditionTable(condition, positive, texts, say) {
  const { evidence, probability, prediction_set: possible, coverage } = condition;
  const figure = (value) => texts.number(value, 2);
  const range = ([low, high]) => ({ low: figure(low), high: figure(high) });
  const measured = (value, interval) => say("interval", { value: figure(value), ...range(interval) });
  const caveat = condition.answer === ABSTAINED ? ` (${say("before_abstention")})` : "";
  const counted = { count: texts.number(evidence.n_recordings), positive: texts.number(evidence.n_positive) };
  const of = { class: positive, set: evidence.test_set };
  return table(say("evidence", { condition: nameOf(condition, texts) }), [
    [say("probability", of), texts.percent(probability) + caveat],
    ...condition.voters.map(({ name, probabilities }) => {
      return [say("voter", { name }), texts.percent(1 - Object.values(probabilities)[0])];
    }),
    [say("set"), say("set_value", { set: possible.join(", ") || say("none"), coverage: texts.percent(coverage) })],
    [say("auroc"), measured(evidence.auroc, evidence.auroc_95)],
    [say("level_only"), measured(evidence.level_only_auroc, evidence.level_only_auroc_95)],
    [say("margin"), say("range", range(evidence.margin_95))],
    [say("tested_on"), say("tested_on_value", { ...counted, ...of })],
  ]);
}

function table(caption, rows) {
  const body = rows.map(([name, value]) => {
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value));
  });
  return make("table", {}, make("caption", {}, caption), make("tbody", {}, ...body));
}

/** A button for each cough: the way to them by keyboard and screen reader. */
export function coughButtons(events, texts, onPlay) {
  return events.map((event, i) => {
    const start = texts.number(event.start_s, 1);
    const label = texts.say("sound.cough", { number: i + 1, start });
    const at = make("span", {}, texts.say("sound.cough_at", { start }));
    const button = make("button", { type: "button", class: "cough", "aria-label": label });
    button.append(icon("play"), make("b", {}, `${i + 1}`), at);
    button.addEventListener("click", () => onPlay(event));
    return make("li", {}, button);
  });
}
