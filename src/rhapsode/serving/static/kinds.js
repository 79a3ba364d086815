// Models that do not continue texts: forecasts of series, drawings, answers to inputs.

import {
  $, announce, cells, choice, download, droppedFile, el, field, fitting, number, post, preference, problemWords, t, textOf,
  ticks,
} from "./base.js";
import { percent } from "./samplers.js";

const LARGEST = 6; // megabytes of a table

/** The view of such a model; its values stay while another model is looked at. */
export class KindView {
  constructor(root, { models, choose }) {
    this.root = root;
    this.models = models;
    this.choose = choose;
    this.views = new Map();
    matchMedia("(max-width: 619px)").addEventListener("change", () => this.view?.show());
  }

  open(model) {
    if (!this.views.has(model.id)) {
      this.views.set(model.id, new { series: Forecast, strokes: Drawings, pairs: Answers }[model.kind](model));
    }
    this.view = this.views.get(model.id);
    this.draw();
  }

  draw() {
    const { view } = this;
    if (!view) return;
    const select = el("select", {
      id: "kind-model", onchange: () => this.choose(select.value),
    }, this.models().map((model) => el("option", {
      value: model.id, disabled: model.status === "failed", selected: model.id === view.model.id,
    }, model.id)));
    this.root.replaceChildren(el("div", { class: "kind-sheet" },
      el("div", { class: "kind-head" }, el("h2", {}, t(`${view.kind}-title`)), field("model", select)),
      el("p", { class: "intro" }, t(view.intro ?? `${view.kind}-intro`)), ...view.parts()));
    view.show();
    view.begin();
  }
}

/** What the views share: a form, a button, a place for the result and one for problems. */
class View {
  constructor(model, kind, usual) {
    this.model = model;
    this.kind = kind;
    this.values = { ...usual, ...preference(`${kind}.${model.id}`) };
    this.problem = "";
    this.result = null;
  }

  /** A control of one value. */
  input(name, attributes) {
    const digits = attributes.type === "number";
    const input = el("input", {
      id: `${this.kind}-${name}`, value: this.values[name] ?? "", ...attributes,
      onchange: () => {
        if (!input.checkValidity()) input.value = this.values[name] ?? "";
        const empty = input.value.trim() === "";
        this.values[name] = digits ? (empty ? null : Number(input.value)) : input.value;
        preference(`${this.kind}.${this.model.id}`, this.values);
        this.changed?.(name);
      },
    });
    return field(name, input);
  }

  form(...controls) {
    this.button = el("button", { type: "submit", class: "primary" }, t(`${this.kind}-go`));
    return el("form", {
      class: "order", onsubmit: (event) => {
        event.preventDefault();
        this.ask();
      },
    }, ...controls, this.button);
  }

  places() {
    this.told = el("p", { class: "failure", role: "alert", hidden: true });
    this.place = el("div", { class: "result" });
    return [this.told, this.place];
  }

  /** Ask for something. The last question wins; its answer may come after those before it. */
  async ask() {
    const turn = (this.turn ?? 0) + 1;
    this.turn = turn;
    this.waits?.abort();
    this.waits = new AbortController();
    this.button.setAttribute("aria-busy", "true");
    this.place.setAttribute("aria-busy", "true");
    try {
      const answer = await post(this.path, { model: this.model.id, ...this.question() }, { signal: this.waits.signal });
      const result = await answer.json();
      if (turn !== this.turn) return;
      this.result = result;
      this.problem = "";
      announce(this.sentence());
    } catch (problem) {
      if (turn !== this.turn || problem.name === "AbortError") return;
      this.problem = problemWords(problem);
    }
    this.show();
  }

  show() {
    this.button.removeAttribute("aria-busy");
    this.place.removeAttribute("aria-busy");
    this.told.hidden = !this.problem;
    this.told.textContent = this.problem;
    if (this.result) this.place.replaceChildren(...this.shown().filter(Boolean));
  }

  begin() {
    if (!this.result && !this.problem) this.ask();
  }
}

/* ---- Series ---------------------------------------------------------------- */

class Forecast extends View {
  path = "api/forecast";

  constructor(model) {
    super(model, "series", { horizon: null, seed: 0, temperature: 1 });
    this.history = null; // {name, text}
    this.which = 0;
    this.name = null;
  }

  parts() {
    const input = el("input", { type: "file", id: "series-file", accept: ".csv,.tsv,.txt", onchange: () => this.take(() => input.files[0] && fitting(input.files[0], LARGEST)) });
    this.file = el("div", { class: "drop small" }, el("b", {}, this.history?.name ?? t("own-history")), el("span", {}, t("choose-table")),
      Object.assign(input, { ariaLabel: t("series-table") }));
    this.file.addEventListener("dragover", () => this.file.classList.add("over"));
    this.file.addEventListener("dragleave", () => this.file.classList.remove("over"));
    this.file.addEventListener("drop", (event) => {
      event.preventDefault();
      this.take(() => event.dataTransfer.files[0] && droppedFile(event.dataTransfer, LARGEST));
    });
    const back = el("button", { type: "button", class: "plain", hidden: !this.history, onclick: () => this.take(() => null) }, t("own-history"));
    return [this.form(
      this.input("horizon", { type: "number", min: 1, max: 2000, step: 1, placeholder: t("usual") }),
      this.input("temperature", { type: "number", min: 0, max: 10, step: "any", required: true }),
      this.input("seed", { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, required: true }),
      el("div", { class: "field wide" }, el("span", { class: "caption" }, t("series-table")), this.file, back),
    ), ...this.places()];
  }

  async take(chosen) {
    try {
      const file = chosen();
      if (file === undefined) return;
      this.history = file && { name: file.name, text: await textOf(file) };
    } catch (problem) {
      this.problem = problemWords(problem);
      this.show();
      return;
    }
    this.which = 0;
    $("b", this.file).textContent = this.history?.name ?? t("own-history");
    this.file.nextSibling.hidden = !this.history;
    this.ask();
  }

  question() {
    return { ...this.values, history: this.history?.text ?? null };
  }

  sentence() {
    return t("series-done", { horizon: number(this.result.horizon), samples: number(this.result.samples) });
  }

  shown() {
    const { result } = this;
    const series = result.series[this.which] ?? result.series[0];
    const names = Object.keys(series.values);
    const name = names.includes(this.name) ? this.name : names[0];
    const data = { ...series.values[name], past: series.history.values[name], before: series.history.times, times: series.times, levels: result.levels };
    const chosen = [];
    if (result.series.length > 1) {
      chosen.push(choice("series-which", result.series.map(({ series: id }, k) => [k, String(id)]), this.which, (value) => {
        this.which = Number(value);
        this.show();
        $("#series-which").focus();
      }));
    }
    if (names.length > 1) {
      chosen.push(choice("series-name", names.map((own) => [own, own]), name, (value) => {
        this.name = value;
        this.show();
        $("#series-name").focus();
      }));
    }
    const output = el("output", { class: "quiet cursor-words" }, t("cursor-help"));
    const picture = fan(data, output);
    const stem = `${this.model.id}-${series.series}`;
    return [
      chosen.length ? el("div", { class: "order" }, chosen) : null,
      picture, output,
      el("div", { class: "acts" },
        el("button", { type: "button", onclick: () => download(`${stem}.csv`, this.csv(), "text/csv") }, t("save-as", { kind: "CSV" })),
        el("button", { type: "button", onclick: () => download(`${stem}.svg`, standalone(picture), "image/svg+xml") }, t("save-as", { kind: "SVG" }))),
      el("details", {}, el("summary", {}, t("numbers-table")), cells(
        [t("time"), t("mean"), ...result.levels.map((level) => `${number(level * 100)}%`)],
        data.times.map((time, k) => [time, short(data.mean[k]), ...result.levels.map((level) => short(data.quantiles[String(level)][k]))]),
      )),
      result.count > result.series.length ? el("p", { class: "quiet" }, t("series-more", { count: number(result.count), shown: number(result.series.length) })) : null,
    ];
  }

  csv() {
    const { levels, series } = this.result;
    const quoted = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
    const lines = [["series", "time", "step", "name", "mean", ...levels.map((level) => `q${level}`)]];
    for (const one of series) {
      for (const [name, { mean, quantiles }] of Object.entries(one.values)) {
        one.times.forEach((time, k) => lines.push([one.series, time, k + 1, name, mean[k], ...levels.map((level) => quantiles[String(level)][k])]));
      }
    }
    return lines.map((line) => `${line.map(quoted).join(",")}\n`).join("");
  }
}

const short = (value) => {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return number(value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4);
};

/** History and quantiles as a picture; the arrow keys and the mouse read values from it. */
function fan(data, output) {
  const narrow = innerWidth < 620;
  const [width, height, left, right, top, bottom] = narrow ? [360, 270, 44, 12, 10, 34] : [800, 340, 58, 74, 12, 34];
  const { levels, quantiles, times } = data;
  const [least, low, middle, high, most] = levels.map((level) => quantiles[String(level)]);
  const kept = Math.max(40, 4 * times.length);
  const past = data.past.slice(-kept);
  const before = data.before.slice(-kept);
  const all = [...past, ...least, ...most].filter((value) => value !== null);
  let [from, to] = [Math.min(...all), Math.max(...all)];
  const pad = (to - from) * 0.05 || 1;
  [from, to] = [from - pad, to + pad];
  const count = past.length + times.length;
  const x = (place) => left + ((width - left - right) * place) / Math.max(1, count - 1);
  const y = (value) => top + (height - top - bottom) * (1 - (value - from) / (to - from));
  const at = (place, value) => `${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
  const words = t("fan-words", {
    horizon: number(times.length), first: times[0] ?? "", last: times.at(-1) ?? "", value: short(middle?.at(-1)), low: short(least?.at(-1)), high: short(most?.at(-1)),
  });
  const picture = el("svg", { class: "chart fan", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words, tabindex: 0 });
  for (const tick of ticks(from, to, 5)) {
    picture.append(el("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      el("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, number(tick, Math.max(0, Math.min(6, Math.ceil(-Math.log10((to - from) / 5)))))));
  }
  picture.append(el("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  const start = past.length;
  const last = past.at(-1);
  const joined = (row) => (last === null || last === undefined ? row.map((value, k) => [start + k, value]) : [[start - 1, last], ...row.map((value, k) => [start + k, value])]);
  const band = (one, two, name) => el("path", {
    class: name, d: `M${joined(one).map(([k, v]) => at(k, v)).join("L")}L${joined(two).reverse().map(([k, v]) => at(k, v)).join("L")}Z`,
  });
  if (times.length) picture.append(band(least, most, "wide-band"), band(low, high, "inner-band"));
  const path = [];
  past.forEach((value, k) => {
    if (value === null) return;
    path.push(`${k && past[k - 1] !== null ? "L" : "M"}${at(k, value)}`);
  });
  picture.append(el("path", { class: "past", d: path.join("") }));
  if (times.length) picture.append(el("path", { class: "line", d: `M${joined(middle).map(([k, v]) => at(k, v)).join("L")}` }));
  if (past.length && times.length) picture.append(el("line", { class: "now", x1: x(start - 0.5), x2: x(start - 0.5), y1: top, y2: height - bottom }));
  const stamps = [...before, ...times];
  // A time at the beginning, at the first step to come, and at the end.
  const marks = [[0, "start"], ...(start > count * 0.2 && start < count * 0.85 ? [[start, "middle"]] : []), [count - 1, "end"]];
  for (const [place, anchor] of marks) {
    picture.append(el("text", { x: x(place), y: height - bottom + 18, "text-anchor": anchor }, shortTime(stamps[place])));
  }
  if (!narrow && times.length) {
    const ends = [[most.at(-1), `${number(levels[4] * 100)}%`, ""], [middle.at(-1), t("median"), "n-train"], [least.at(-1), `${number(levels[0] * 100)}%`, ""]];
    let above = -Infinity;
    for (const [value, name, style] of ends) {
      above = Math.max(above + 15, y(value) + 4);
      picture.append(el("text", { class: style, x: width - right + 8, y: above }, name));
    }
  }
  const cursor = el("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  picture.append(cursor);
  let place = start;
  const read = (wanted) => {
    place = Math.min(count - 1, Math.max(0, wanted));
    cursor.setAttribute("x1", x(place));
    cursor.setAttribute("x2", x(place));
    cursor.setAttribute("visibility", "visible");
    const step = place - start;
    output.textContent = step < 0 ? t("cursor-past", { time: before[place], value: short(past[place]) })
      : t("cursor-future", { time: times[step], value: short(middle[step]), low: short(least[step]), high: short(most[step]) });
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const scaled = ((event.clientX - box.left) / box.width) * width;
    read(Math.round(((scaled - left) / (width - left - right)) * (count - 1)));
  });
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageUp: -10, PageDown: 10 }[event.key];
    if (step) read(place + step);
    else if (event.key === "Home") read(0);
    else if (event.key === "End") read(count - 1);
    else return;
    event.preventDefault();
  });
  return picture;
}

const shortTime = (time) => String(time ?? "").replace(/[T ]00:00(:00)?$/, "");

/** A picture with its colours in it, for a file. */
function standalone(picture) {
  const copy = picture.cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const own = [picture, ...picture.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, k) => {
    const style = getComputedStyle(own[k]);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "stroke-linecap", "stroke-linejoin"]) {
      node.setAttribute(name, style.getPropertyValue(name));
    }
    node.removeAttribute("class");
    node.removeAttribute("style");
  });
  return new XMLSerializer().serializeToString(copy);
}

/* ---- Strokes --------------------------------------------------------------- */

class Drawings extends View {
  path = "api/drawings";

  constructor(model) {
    super(model, "strokes", { count: 6, temperature: 1, pen_bias: 0, seed: null });
    this.begun = [];
    this.intro = model.writes_texts ? "strokes-intro-text" : "strokes-intro";
  }

  parts() {
    this.pad = el("svg", {
      class: "pad", viewBox: "0 0 300 300", role: "img", "aria-label": t("pad"), preserveAspectRatio: "xMidYMid meet",
    });
    this.clear = el("button", { type: "button", class: "plain", onclick: () => this.wipe() }, t("pad-clear"));
    this.listen();
    this.inked();
    const { writes_texts: writes } = this.model;
    const text = writes ? [this.input("text", { type: "text", maxlength: 500, required: true, dir: "auto", autocomplete: "off" })] : [];
    const form = this.form(
      ...text,
      this.input("count", { type: "number", min: 1, max: 24, step: 1, required: true }),
      this.input("temperature", { type: "number", min: 0, max: 10, step: "any", required: true }),
      this.input("pen_bias", { type: "number", min: 0, max: 20, step: "any", required: true }),
      this.input("seed", { type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, placeholder: t("seed-any") }),
    );
    if (writes) return [form, ...this.places()];
    return [form, el("div", { class: "easel" },
      el("div", {}, el("div", { class: "pad-head" }, el("span", { class: "caption" }, t("pad")), this.clear), this.pad),
      el("div", {}, ...this.places()))];
  }

  /** Strokes by mouse, pen or finger. */
  listen() {
    const { pad } = this;
    let stroke = null;
    const place = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(pad.getScreenCTM().inverse());
      return [Math.round(point.x * 10) / 10, Math.round(point.y * 10) / 10];
    };
    pad.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      pad.setPointerCapture(event.pointerId);
      stroke = [place(event)];
      this.begun.push(stroke);
      this.inked();
    });
    pad.addEventListener("pointermove", (event) => {
      if (!stroke) return;
      const before = stroke.at(-1);
      const next = place(event);
      if (Math.hypot(next[0] - before[0], next[1] - before[1]) < 1.5) return;
      stroke.push(next);
      this.inked();
    });
    const end = () => {
      if (!stroke) return;
      stroke = null;
      this.ask();
    };
    pad.addEventListener("pointerup", end);
    pad.addEventListener("pointercancel", end);
  }

  inked() {
    this.pad.replaceChildren(...this.begun.map((stroke) => el("path", { class: "ink", d: curve(stroke) })));
    this.clear.disabled = !this.begun.length;
  }

  wipe() {
    this.begun = [];
    this.inked();
    this.ask();
  }

  begin() {
    if (!this.model.writes_texts || this.values.text) super.begin();
  }

  question() {
    return { ...this.values, begun: this.begun.map((stroke) => [stroke.map(([px]) => px), stroke.map(([, py]) => py)]) };
  }

  sentence() {
    return t("strokes-done", { count: number(this.result.drawings.length), seed: this.result.seed });
  }

  shown() {
    const { drawings, seed } = this.result;
    const reference = this.model.writes_texts ? 500 : 200;
    return [el("ul", { class: this.model.writes_texts ? "drawings lines" : "drawings" }, drawings.map((drawing, k) => {
      const picture = drawn(drawing, t("strokes-words", { number: k + 1, strokes: number(drawing.strokes.length) }), reference);
      const save = el("button", {
        type: "button", class: "plain", "aria-label": t("save-drawing", { number: k + 1 }),
        onclick: () => download(`${this.model.id}-${seed}-${k + 1}.svg`, standalone(picture), "image/svg+xml"),
      }, "SVG");
      return el("li", {}, picture, save);
    })), el("p", { class: "quiet" }, this.sentence())];
  }
}

/** A drawing, its strokes one after another; the larger the reference, the thinner the pen. */
function drawn({ strokes, given }, words, reference) {
  const points = strokes.flat();
  const [xs, ys] = [points.map(([px]) => px), points.map(([, py]) => py)];
  const reach = (values) => [Math.min(...values), Math.max(...values)];
  const [[left, right], [top, bottom]] = points.length ? [reach(xs), reach(ys)] : [[0, 1], [0, 1]];
  const size = Math.max(right - left, bottom - top, 1e-6);
  const scale = reference / size;
  const [width, height] = [(right - left) * scale + 24, (bottom - top) * scale + 24];
  const picture = el("svg", { class: "drawing", viewBox: `0 0 ${Math.max(width, 60).toFixed(1)} ${Math.max(height, 60).toFixed(1)}`, role: "img", "aria-label": words });
  let time = 0;
  const all = strokes.reduce((sum, stroke) => sum + stroke.length, 0) || 1;
  strokes.forEach((stroke, k) => {
    const path = el("path", {
      class: k < given ? "ink given" : "ink new", pathLength: 1,
      d: curve(stroke.map(([px, py]) => [(px - left) * scale + 12, (py - top) * scale + 12])),
    });
    if (k >= given) {
      path.style.animationDelay = `${time.toFixed(3)}s`;
      const lasts = Math.max(0.06, (1.6 * stroke.length) / all);
      path.style.animationDuration = `${lasts.toFixed(3)}s`;
      time += lasts;
    }
    picture.append(path);
  });
  return picture;
}

/** A smooth path through points. */
function curve(points) {
  const at = ([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`;
  if (points.length < 2) return `M${at(points[0])}h.01`;
  let path = `M${at(points[0])}`;
  for (let k = 0; k + 1 < points.length; k += 1) {
    const [a, b, c, d] = [points[Math.max(0, k - 1)], points[k], points[k + 1], points[Math.min(points.length - 1, k + 2)]];
    const one = [b[0] + (c[0] - a[0]) / 6, b[1] + (c[1] - a[1]) / 6];
    const two = [c[0] - (d[0] - b[0]) / 6, c[1] - (d[1] - b[1]) / 6];
    path += `C${at(one)} ${at(two)} ${at(c)}`;
  }
  return path;
}

/* ---- Pairs ----------------------------------------------------------------- */

class Answers extends View {
  path = "api/answers";

  constructor(model) {
    super(model, "pairs", { inputs: "", n_best: 5 });
  }

  parts() {
    const typed = el("textarea", {
      id: "pairs-inputs", rows: 3, dir: "auto", spellcheck: "false",
      oninput: () => {
        this.values.inputs = typed.value;
        preference(`pairs.${this.model.id}`, this.values);
        clearTimeout(this.soon);
        this.soon = setTimeout(() => this.ask(), 300);
      },
      onkeydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
          event.preventDefault();
          this.ask();
        }
      },
    });
    typed.value = this.values.inputs;
    return [this.form(
      el("div", { class: "field wide" }, el("label", { for: "pairs-inputs" }, t("inputs")), typed),
      this.input("n_best", { type: "number", min: 1, max: 20, step: 1, required: true }),
    ), ...this.places()];
  }

  changed() {
    this.begin(true);
  }

  begin(again = false) {
    if (this.values.inputs.trim() && (again || !this.result)) this.ask();
  }

  question() {
    clearTimeout(this.soon);
    return { inputs: this.values.inputs.split("\n").filter((line) => line.trim()).slice(0, 200), n_best: this.values.n_best };
  }

  sentence() {
    return t("pairs-done", { count: number(this.result.answers.length) });
  }

  shown() {
    return [el("ul", { class: "answers" }, this.result.answers.map(({ input, answers }) => el("li", {},
      el("h3", { dir: "auto" }, input),
      answers.length ? el("ol", {}, answers.map(({ text, log_prob: nats }) => {
        const chance = Math.exp(nats);
        const bar = el("span", { class: "bar" });
        bar.style.width = `${chance * 100}%`;
        return el("li", { class: "answer" }, el("bdi", { class: "name" }, text || t("nothing")),
          el("span", { class: "track" }, bar), el("span", { class: "figure" }, percent(chance)));
      })) : el("p", { class: "quiet" }, t("nothing")))))];
  }
}
