// Settings of sampling as sliders, and the probabilities that they reshape.

import { $, el, number, preference, t } from "./base.js";

export const SLIDERS = [
  { name: "temperature", from: 0, to: 2, step: 0.05, usual: 0.8, digits: 2 },
  { name: "top_p", from: 0.05, to: 1, step: 0.01, usual: 1, digits: 2 },
  { name: "min_p", from: 0, to: 0.5, step: 0.01, usual: 0, digits: 2 },
  { name: "top_k", from: 0, to: 100, step: 1, usual: 0, digits: 0 },
  { name: "repetition_penalty", from: 1, to: 1.5, step: 0.01, usual: 1, digits: 2 },
];
const USUAL = Object.fromEntries(SLIDERS.map(({ name, usual }) => [name, usual]));

/** Both sets of settings; the second is used in comparisons. */
export class Settings {
  constructor() {
    this.sets = preference("settings") ?? [];
    for (const k of [0, 1]) this.sets[k] = { model: null, ...USUAL, ...this.sets[k] };
    this.which = 0;
    this.length = preference("length") ?? 400;
    this.seed = preference("seed"); // null draws one
    this.listeners = [];
  }

  get now() {
    return this.sets[this.which];
  }

  change(name, value) {
    this.now[name] = value;
    preference("settings", this.sets);
    for (const listener of this.listeners) listener();
  }

  /** The model of a set; the second one's is the first one's until another is chosen. */
  model(which) {
    return this.sets[which].model ?? this.sets[0].model;
  }

  /** The sampling fields of a request. */
  fields(which) {
    const fields = {};
    for (const { name, usual } of SLIDERS) {
      const value = this.sets[which][name];
      if (name === "temperature" || value !== usual || usual !== offValue(name)) fields[name] = value;
    }
    return fields;
  }
}

const offValue = (name) => ({ top_p: 1, min_p: 0, top_k: 0, repetition_penalty: 1 })[name];

/** Draw the sliders of the chosen set. */
export function drawSliders(root, settings) {
  root.replaceChildren(...SLIDERS.map((slider) => {
    const { name, from, to, step, digits } = slider;
    const id = `slider-${name}`;
    const off = () => settings.now[name] === offValue(name);
    const shown = () => (off() ? t("off") : number(settings.now[name], digits));
    const output = el("output", { for: id }, shown());
    const input = el("input", {
      type: "range", id, min: from, max: to, step, value: settings.now[name],
      "aria-describedby": `${id}-help`,
      oninput: () => {
        settings.change(name, Number(input.value));
        output.textContent = shown();
        input.setAttribute("aria-valuetext", shown());
        fill(input);
      },
    });
    input.setAttribute("aria-valuetext", shown());
    fill(input);
    return el("div", { class: "slider", title: t(`${name}-help`) },
      el("label", { for: id }, t(name)), output, input,
      el("span", { id: `${id}-help`, class: "unseen" }, t(`${name}-help`)));
  }));
}

function fill(input) {
  const share = (input.value - input.min) / (input.max - input.min);
  input.style.setProperty("--fill", `${share * 100}%`);
}

/**
 * Probabilities after temperature and truncation, in the order of the server.
 *
 * `rivals` are [name, probability], the likeliest first. What they leave of 1 belongs to other
 * elements, as many as `others`; each of these is taken to have an equal part of it.
 */
export function reshape(rivals, settings, others) {
  const known = rivals.reduce((sum, [, chance]) => sum + chance, 0);
  const rest = Math.max(0, 1 - known);
  const many = rest > 1e-6 ? Math.max(1, others) : 0;
  const { temperature } = settings;
  const power = (chance) => (chance > 0 ? Math.exp(Math.log(chance) / temperature) : 0);
  let now;
  let left;
  if (temperature === 0) {
    now = rivals.map((_, k) => (k === 0 ? 1 : 0));
    left = 0;
  } else {
    now = rivals.map(([, chance]) => power(chance));
    left = many ? many * power(rest / many) : 0;
    const sum = now.reduce((a, b) => a + b, 0) + left;
    now = now.map((value) => value / sum);
    left /= sum;
  }
  const norm = () => {
    const sum = now.reduce((a, b) => a + b, 0) + left;
    now = now.map((value) => value / sum);
    left /= sum;
  };
  if (settings.top_k > 0) {
    now = now.map((value, k) => (k < settings.top_k ? value : 0));
    left = many ? left * Math.min(1, Math.max(0, settings.top_k - now.length) / many) : 0;
    norm();
  }
  if (settings.top_p < 1) {
    let before = 0;
    now = now.map((value, k) => {
      const kept = k === 0 || before < settings.top_p ? value : 0;
      before += value;
      return kept;
    });
    if (left) left = Math.min(left, Math.max(0, settings.top_p - before));
    norm();
  }
  if (settings.min_p > 0) {
    const least = settings.min_p * now[0];
    now = now.map((value) => (value >= least ? value : 0));
    if (many && left / many < least) left = 0;
    norm();
  }
  return { now, left, rest };
}

/** An element as people can see it. */
export function visible(name) {
  if (name === "") return t("nothing");
  return name.replace(/[ \n\t\r]|\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}|\p{Cs}/gu, (sign) =>
    ({ " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍" })[sign]
    ?? `U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}

/** The bars of the rivals of an element, drawn again as settings change. */
export class Bars {
  constructor(root, settings, choose) {
    this.root = root;
    this.settings = settings;
    this.choose = choose;
    this.rivals = [];
    this.own = null;
    this.others = 50;
    settings.listeners.push(() => this.update());
  }

  /** Tell that what is shown belongs to an earlier place. */
  wait() {
    this.root.setAttribute("aria-busy", "true");
  }

  show(rivals, own = null) {
    this.root.removeAttribute("aria-busy");
    this.rivals = rivals;
    this.own = own;
    this.rows = rivals.map(([name]) => {
      const figure = el("span", { class: "figure" });
      const before = el("span", { class: "unseen" });
      const bar = el("span", { class: "bar" });
      const raw = el("span", { class: "raw" });
      const row = el("button", {
        type: "button", class: `rival ${name === own ? "own" : ""}`,
        onclick: () => this.choose(name),
      }, el("bdi", { class: "name" }, visible(name)), el("span", { class: "track" }, raw, bar), figure, before);
      return { row, raw, bar, figure, before };
    });
    this.root.replaceChildren(...this.rows.map(({ row }) => el("li", {}, row)));
    this.otherRow = el("li", { class: "others" });
    this.root.append(this.otherRow);
    this.update();
  }

  update() {
    if (!this.rivals.length) {
      this.root.replaceChildren();
      return;
    }
    const { now, left, rest } = reshape(this.rivals, this.settings.now, this.others);
    const most = Math.max(...now, this.rivals[0][1]);
    this.rows.forEach(({ row, raw, bar, figure, before }, k) => {
      const chance = this.rivals[k][1];
      raw.style.width = `${(chance / most) * 100}%`;
      bar.style.width = `${(now[k] / most) * 100}%`;
      figure.textContent = percent(now[k]);
      row.classList.toggle("dropped", now[k] === 0);
      before.textContent = t("rival-before", { raw: percent(chance) });
    });
    this.otherRow.textContent = rest > 0.0005 ? t("others", { now: percent(left) }) : "";
  }

  focus() {
    $("button", this.root)?.focus();
  }
}

export const percent = (value) =>
  value === 0 ? "0" : value < 0.001 ? "<0.1%" : `${number(value * 100, value < 0.0995 ? 1 : 0)}%`;
