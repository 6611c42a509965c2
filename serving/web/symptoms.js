// The optional form. What is not said is left out of the metadata: missing is not "no".

import { find, make } from "./page.js";

const SYMPTOMS = [
  "fever",
  "cough",
  "sore_throat",
  "fatigue",
  "loss_of_smell",
  "muscle_pain",
  "diarrhoea",
  "breathing_difficulty",
  "cold",
  "asthma",
  "other_lung_disease",
];
const SEXES = ["female", "male", "other"];
const OLDEST = 120;

export class SymptomForm {
  constructor() {
    this.form = find("symptom-form");
    find("sex").append(...["", ...SEXES].map((sex) => {
      return make("option", { value: sex, "data-t": `sex.${sex || "unsaid"}` });
    }));
    find("symptom-list").append(...SYMPTOMS.map(question));
    for (const event of ["input", "reset"]) {
      this.form.addEventListener(event, () => this.complain(""));
    }
  }

  complain(text) {
    find("age-wrong").textContent = text;
    find("age").setAttribute("aria-invalid", Boolean(text));
  }

  /** Whether what was entered can be sent; otherwise says why not and goes there. */
  check(texts) {
    const age = find("age").value.trim();
    if (age === "" || (/^\d+$/.test(age) && Number(age) <= OLDEST)) {
      return true;
    }
    find("symptoms").open = true;
    this.complain(texts.say("symptoms.age_wrong"));
    find("age").focus();
    return false;
  }

  /** The API's `metadata`, or null where nothing was said. */
  metadata() {
    const said = new FormData(this.form);
    const metadata = {};
    if (said.get("age").trim()) {
      metadata.age = Number(said.get("age"));
    }
    if (said.get("sex")) {
      metadata.sex = said.get("sex");
    }
    const answered = SYMPTOMS.filter((name) => said.get(name));
    if (answered.length) {
      metadata.symptoms = Object.fromEntries(answered.map((name) => [name, said.get(name) === "yes"]));
    }
    return Object.keys(metadata).length ? metadata : null;
  }
}

function question(name) {
  const choices = ["", "no", "yes"].map((value) => {
    const radio = make("input", { type: "radio", name, value });
    radio.defaultChecked = value === "";
    const words = make("span", { "data-t": `said.${value || "unsaid"}` });
    if (value) {
      return make("label", {}, radio, words);
    }
    words.className = "unseen";
    return make("label", {}, radio, make("span", { "aria-hidden": "true" }, "–"), words);
  });
  return make(
    "fieldset",
    { class: "symptom" },
    make("legend", { "data-t": `symptom.${name}` }),
    make("div", { class: "choice" }, ...choices),
  );
}
