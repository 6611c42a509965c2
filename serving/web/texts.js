// Every sentence the page says comes from catalogue.json, in the person's language.

const REMEMBERED = "cough.language";

export class Texts {
  /** @param {Record<string, Record<string, string>>} catalogue texts by language, then by key */
  constructor(catalogue) {
    this.catalogue = catalogue;
    this.use(remembered(catalogue) ?? preferred(catalogue));
  }

  use(language) {
    this.language = language;
    this.plurals = new Intl.PluralRules(language);
    document.documentElement.lang = language;
  }

  /** Use a language from now on, and on the next visit. */
  choose(language) {
    this.use(language);
    try {
      localStorage.setItem(REMEMBERED, language);
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
  }

  has(key) {
    return key in this.catalogue[this.language];
  }

  /** The text of a key, with {names} replaced; a missing one shows its key, so that it is noticed. */
  say(key, values = {}) {
    const text = this.catalogue[this.language][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  /** `key.none`, `key.one` or `key.other`, by count. */
  count(key, count, values = {}) {
    const form = count === 0 ? "none" : this.plurals.select(count);
    return this.say(`${key}.${form}`, { count: this.number(count), ...values });
  }

  /** A number as this language writes it. */
  number(value, digits = 0) {
    const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return new Intl.NumberFormat(this.language, format).format(value);
  }

  percent(value, digits = 0) {
    const format = { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits };
    return new Intl.NumberFormat(this.language, format).format(value);
  }

  /** Fill the elements that name their text: `data-t` and, for screen readers, `data-t-label`. */
  fill(root) {
    for (const element of root.querySelectorAll("[data-t]")) {
      element.textContent = this.say(element.dataset.t);
    }
    for (const element of root.querySelectorAll("[data-t-label]")) {
      element.setAttribute("aria-label", this.say(element.dataset.tLabel));
    }
  }
}

function remembered(catalogue) {
  try {
    const language = localStorage.getItem(REMEMBERED);
    return language in catalogue ? language : undefined;
  } catch {
    return undefined;
  }
}

function preferred(catalogue) {
  const wanted = (navigator.languages ?? []).map((tag) => tag.split("-")[0]);
  return wanted.find((language) => language in catalogue) ?? "en";
}
