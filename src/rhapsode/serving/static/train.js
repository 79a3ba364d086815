// Training from the page: a source, what it is taken for, a run that outlives the page.

import {
  $, Refused, announce, cells, droppedFile, duration, el, fitting, moment, get, number, post, preference, problemWords,
  t, ticks,
} from "./base.js";

const FACTS = ["documents", "characters", "series", "notes", "bars", "elements", "vocabulary"];
const POINTS = 600;
const LARGEST = 256; // megabytes of a file

export class Trainer {
  constructor(root, { mayWrite, opened }) {
    this.root = root;
    this.mayWrite = mayWrite;
    this.opened = opened;
    this.source = null; // {upload or corpus, name}
    this.survey = null;
    this.minutes = 3;
    this.name = "";
    this.run = null; // the run that is shown
    this.corpora = [];
    this.jobs = [];
  }

  async start() {
    try {
      [this.corpora, this.jobs] = await Promise.all([
        get("api/corpora").then(({ data }) => data), get("api/jobs").then(({ data }) => data),
      ]);
    } catch (problem) {
      this.failure = problemWords(problem);
    }
    const active = this.jobs.find(({ stage }) => ["preparing", "training", "finishing"].includes(stage));
    const shown = active?.name ?? preference("run");
    if (shown && this.jobs.some(({ name }) => name === shown)) this.open(shown);
    else this.draw();
  }

  draw() {
    if (this.run) this.drawRun();
    else this.drawStart();
  }

  /* ---- The source -------------------------------------------------------- */

  drawStart() {
    const sheet = el("div", { class: "train-sheet" },
      el("h2", {}, t("train-title")), el("p", { class: "intro" }, t("train-intro")));
    if (this.failure) sheet.append(el("p", { class: "failure", role: "alert" }, this.failure));
    if (!this.mayWrite) {
      sheet.append(el("p", { class: "failure" }, t("error-token_required")));
    } else if (this.busy) {
      sheet.append(el("p", { role: "status" }, this.busy));
    } else if (this.survey) {
      sheet.append(...this.surveyed());
    } else {
      sheet.append(this.dropZone(), el("h3", {}, t("corpora")), this.corpusList());
    }
    if (this.jobs.length && !this.busy && !this.survey) sheet.append(el("h3", {}, t("runs")), this.jobList());
    this.root.replaceChildren(sheet);
  }

  dropZone() {
    const input = el("input", {
      type: "file", "aria-label": `${t("drop")} ${t("drop-or")}`,
      onchange: () => input.files[0] && this.send(() => fitting(input.files[0], LARGEST)),
    });
    const zone = el("div", { class: "drop" }, el("b", {}, t("drop")), el("span", {}, t("drop-or")), input);
    zone.addEventListener("dragover", () => zone.classList.add("over"));
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.send(() => droppedFile(event.dataTransfer, LARGEST));
    });
    return zone;
  }

  corpusList() {
    return el("div", { class: "corpora" }, this.corpora.map(({ name, title, place }) => el("button", {
      type: "button", onclick: () => this.look({ corpus: name, name }),
    }, el("b", {}, name), el("span", { class: "quiet" }, place === "here" ? title : `${title} (${t("fetched-first")})`))));
  }

  jobList() {
    return el("ul", { class: "runs" }, this.jobs.map((job) => el("li", {}, el("button", {
      type: "button", onclick: () => this.open(job.name),
    }, el("b", {}, job.name), el("span", { class: "quiet" }, job.source), el("span", { class: "pill" }, t(`stage-${job.stage}`)),
    el("span", { class: "when" }, moment(job.started))))));
  }

  say(words) {
    this.busy = words;
    this.draw();
    announce(words ?? "");
  }

  /** Send a file. XMLHttpRequest tells how far it is. */
  async send(chosen) {
    this.failure = null;
    try {
      const file = chosen();
      this.say(t("uploading", { name: file.name, percent: "0 %" }));
      const upload = await new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.open("POST", `api/uploads?name=${encodeURIComponent(file.name.toWellFormed?.() ?? file.name)}`);
        request.setRequestHeader("content-type", "application/octet-stream");
        request.responseType = "json";
        request.upload.onprogress = ({ loaded, total }) => {
          const line = $("[role=status]", this.root);
          if (line) line.textContent = t("uploading", { name: file.name, percent: `${Math.round((loaded / total) * 100)} %` });
        };
        request.onload = () => (request.status < 300 ? resolve(request.response)
          : reject(new Refused(request.response?.error ?? {}, request.status)));
        request.onerror = () => reject(new TypeError("no answer"));
        request.send(file);
      });
      await this.look({ upload: upload.id, name: upload.name });
    } catch (problem) {
      this.failure = problemWords(problem);
      this.say(null);
    }
  }

  async look(source) {
    this.source = source;
    this.failure = null;
    const plain = source.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_-]+/gu, "-").replace(/^-+/, "");
    this.name = [...plain].slice(0, 50).join("") || "run";
    this.say(t("surveying", { name: source.name }));
    try {
      this.survey = await (await post("api/survey", this.source)).json();
    } catch (problem) {
      this.survey = null;
      this.failure = problemWords(problem);
    }
    this.say(null);
    if (this.survey) $("#train-go", this.root)?.focus();
  }

  surveyed() {
    const { survey } = this;
    const plan = survey.training ?? {};
    const facts = [[t("taken-for"), t(`kind-${survey.kind}`)]];
    for (const name of FACTS) {
      const value = survey[name];
      const size = typeof value === "number" ? value : value?.size;
      if (typeof size === "number") facts.push([t(`fact-${name}`), number(size)]);
    }
    if (plan.encoding) facts.push([t("fact-encoding"), plan.encoding.replace(/\.v\d+$/, "")]);
    if (plan.model) facts.push([t("fact-model"), plan.model.replace(/\.v\d+$/, "").toUpperCase()]);
    if (plan.parameters) facts.push([t("fact-parameters"), number(plan.parameters)]);
    const reasons = [...(survey.remarks ?? []), ...(plan.reasons ?? [])];
    const command = el("code", { tabindex: 0 });
    const tell = () => { command.textContent = this.command(); };
    const minutes = el("input", {
      type: "number", id: "minutes", min: 0.1, max: 1440, step: "any", value: this.minutes,
      oninput: () => {
        this.minutes = Number(minutes.value) || 3;
        press();
        tell();
      },
    });
    const usual = [1, 3, 10, 30].map((value) => el("button", {
      type: "button", "aria-pressed": "false",
      onclick: () => {
        this.minutes = value;
        minutes.value = value;
        press();
        tell();
      },
    }, String(value)));
    const press = () => usual.forEach((button) => button.setAttribute("aria-pressed", String(Number(button.textContent) === this.minutes)));
    press();
    const name = el("input", {
      type: "text", id: "run-name", value: this.name, maxlength: 64, spellcheck: "false",
      oninput: () => {
        this.name = name.value;
        tell();
      },
    });
    tell();
    return [
      el("h3", {}, el("bdi", {}, this.source.name)),
      factList(facts),
      reasons.length ? el("details", {}, el("summary", {}, t("plan-reasons")), el("ul", {}, reasons.map((reason) => el("li", {}, typeof reason === "string" ? reason : JSON.stringify(reason))))) : null,
      el("div", { class: "order" },
        el("div", { class: "field" }, el("label", { for: "minutes" }, t("minutes")), el("div", { class: "choices" }, usual, minutes)),
        el("div", { class: "field" }, el("label", { for: "run-name" }, t("name")), name),
        el("button", { type: "button", id: "train-go", class: "primary", onclick: () => this.train() }, t("train")),
        el("button", { type: "button", class: "plain", onclick: () => this.another() }, t("other-file"))),
      el("h3", {}, t("as-command")),
      this.commandLine(command),
    ].filter(Boolean);
  }

  command() {
    const seconds = Math.max(1, Math.round(this.minutes * 60));
    const budget = seconds % 60 ? `${seconds}s` : `${seconds / 60}m`;
    return ["rhapsode", "train", this.source.name, "-o", `runs/${this.name}`, "--budget", budget]
      .map((word) => (/^[\w./:-]+$/.test(word) ? word : `'${word}'`)).join(" ");
  }

  commandLine(code) {
    const button = el("button", {
      type: "button", class: "plain",
      onclick: async () => {
        await navigator.clipboard?.writeText(code.textContent);
        button.textContent = t("copied");
        setTimeout(() => { button.textContent = t("copy"); }, 1500);
      },
    }, t("copy"));
    return el("div", { class: "command" }, code, button);
  }

  another() {
    this.survey = this.source = this.run = null;
    preference("run", null);
    clearTimeout(this.asking);
    this.refresh();
  }

  async refresh() {
    try {
      this.jobs = (await get("api/jobs")).data;
    } catch (problem) {
      this.failure = problemWords(problem);
    }
    this.draw();
  }

  async train() {
    const { name, ...source } = this.source;
    try {
      const job = await (await post("api/jobs", { ...source, name: this.name, minutes: this.minutes })).json();
      this.survey = null;
      this.moved = true;
      this.jobs.unshift(job);
      this.open(job.name);
    } catch (problem) {
      this.failure = problemWords(problem);
      this.draw();
    }
  }

  /* ---- A run -------------------------------------------------------------- */

  open(name) {
    preference("run", name);
    this.run = { name, lines: 0, steps: [], evaluations: [], samples: [], stage: "preparing" };
    this.shown = null;
    this.draw();
    this.ask();
  }

  async ask() {
    const { run } = this;
    clearTimeout(this.asking);
    try {
      const news = await get(`api/jobs/${encodeURIComponent(run.name)}?since=${run.lines}`);
      if (run !== this.run) return;
      if (news.restarted) Object.assign(run, { steps: [], evaluations: [], samples: [] });
      const { steps, evaluations, samples, fraction, elements_per_second: rate, ...facts } = news;
      const before = run.stage;
      Object.assign(run, facts);
      run.fraction = fraction ?? run.fraction;
      run.rate = rate ?? run.rate;
      run.steps = thinned(run.steps.concat(steps));
      run.evaluations.push(...evaluations);
      run.samples.push(...samples);
      this.drawRun();
      if (before !== run.stage) announce(t(`stage-${run.stage}`));
      if (["preparing", "training", "finishing"].includes(run.stage)) this.asking = setTimeout(() => this.ask(), 700);
    } catch (problem) {
      this.failure = problemWords(problem);
      if (run === this.run) this.asking = setTimeout(() => this.ask(), 3000);
    }
  }

  drawRun() {
    const { run } = this;
    const active = ["preparing", "training", "finishing"].includes(run.stage);
    if (this.shown !== `${run.name} ${run.stage} ${run.has_model} ${t("train")}`) {
      this.shown = `${run.name} ${run.stage} ${run.has_model} ${t("train")}`;
      this.frame(active);
    }
    const part = (name) => $(`[data-part=${name}]`, this.root);
    const done = run.stage === "training" ? (run.fraction ?? 0) : ["finishing", "done"].includes(run.stage) ? 1 : (run.fraction ?? 0);
    part("progress").style.width = `${done * 100}%`;
    part("progress").parentElement.setAttribute("aria-valuenow", String(Math.round(done * 100)));
    const last = run.steps.at(-1);
    const best = run.evaluations.filter(([, , isBest]) => isBest).at(-1);
    const elapsed = Math.max(last?.[4] ?? 0, run.evaluations.at(-1)?.[3] ?? 0);
    part("facts").replaceChildren(...factList([
      last && [t("fact-train"), number(smooth(run.steps).at(-1), 3)],
      best && [t("fact-valid"), number(best[1], 3)],
      run.baseline && [t("loss-baseline"), number(run.baseline, 3)],
      run.rate && [t("rate"), number(run.rate)],
      run.budget && active && run.stage === "training" && [t("left"), duration(run.budget - elapsed)],
    ].filter(Boolean)).children);
    part("verdict").textContent = best && run.baseline
      ? t(best[1] < run.baseline ? "beats-baseline" : "below-baseline") : "";
    part("chart").replaceChildren(...(run.steps.length > 1 ? [chart(run), table(run)] : []));
    this.drawSamples(part("samples"));
  }

  frame(active) {
    const { run } = this;
    const acts = [];
    if (active && run.stage !== "finishing" && this.mayWrite) {
      acts.push(el("button", { type: "button", onclick: () => this.act("stop") }, t("stop-training")));
    }
    if (!active && run.has_model) {
      acts.push(el("button", { type: "button", class: "primary", onclick: () => this.opened(run.name) }, t("write-with")));
    }
    if (run.stage === "interrupted" && this.mayWrite) {
      acts.push(el("button", { type: "button", onclick: () => this.act("resume") }, t("resume")));
    }
    if (!active) acts.push(el("button", { type: "button", class: "plain", onclick: () => this.another() }, t("new-run")));
    const code = el("code", { tabindex: 0 }, run.command ?? "");
    const focused = this.root.contains(document.activeElement) || this.moved;
    this.moved = false;
    this.root.replaceChildren(el("div", { class: "train-sheet" },
      el("div", { class: "stage" }, el("h2", { tabindex: -1 }, el("bdi", {}, run.name)), el("span", { class: `pill ${run.stage}` }, t(`stage-${run.stage}`))),
      el("div", { class: "progress", role: "progressbar", "aria-label": t(`stage-${run.stage}`), "aria-valuemin": 0, "aria-valuemax": 100 }, el("div", { "data-part": "progress" })),
      run.stage === "failed" ? el("p", { class: "failure", role: "alert" }, [run.what, run.hint].filter(Boolean).join("\n")) : null,
      el("dl", { class: "facts", "data-part": "facts" }),
      el("div", { "data-part": "chart" }),
      el("p", { class: "quiet", "data-part": "verdict" }),
      el("div", { class: "acts" }, acts),
      el("h3", {}, t("samples")),
      el("div", { "data-part": "samples" }),
      run.command ? el("h3", {}, t("as-command")) : null,
      run.command ? this.commandLine(code) : null));
    // Where the focus was is gone; it goes to what can be done now.
    if (focused) ($(".acts .primary", this.root) ?? $(".acts button", this.root) ?? $("h2", this.root)).focus();
  }

  async act(name) {
    try {
      await post(`api/jobs/${encodeURIComponent(this.run.name)}/${name}`);
    } catch (problem) {
      announce(problemWords(problem));
    }
    this.ask();
  }

  /** Samples through training; the slider scrubs, and stays at the end unless it was moved. */
  drawSamples(part) {
    const { samples } = this.run;
    if (part.count === samples.length && part.words === t("train")) return;
    const slider = $("input", part);
    const follow = !slider || Number(slider.value) === part.count - 1;
    part.count = samples.length;
    part.words = t("train");
    if (!samples.length) {
      part.replaceChildren(el("p", { class: "quiet" }, t("samples-none")));
      return;
    }
    const texts = el("div", {});
    const output = el("output", {});
    const input = el("input", {
      type: "range", min: 0, max: samples.length - 1, step: 1,
      value: follow ? samples.length - 1 : slider.value, "aria-label": t("samples"),
      oninput: () => show(),
    });
    const show = () => {
      const sample = samples[Number(input.value)];
      output.textContent = t("samples-at", { step: number(sample.step) });
      input.setAttribute("aria-valuetext", output.textContent);
      input.style.setProperty("--fill", `${samples.length > 1 ? (input.value / (samples.length - 1)) * 100 : 100}%`);
      texts.replaceChildren(...sample.texts.map(([temperature, text]) => el("div", { class: "sample" },
        el("h4", {}, t("at-temperature", { temperature })), el("p", { dir: "auto", tabindex: 0 }, text))));
    };
    part.replaceChildren(el("div", { class: "scrub" }, input, output), texts);
    show();
  }
}

function factList(facts) {
  return el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** Halve the points when they are too many; each keeps the range of what it stands for. */
function thinned(steps) {
  if (steps.length <= 2 * POINTS) return steps;
  const half = [];
  for (let i = 0; i + 1 < steps.length; i += 2) {
    const [a, b] = [steps[i], steps[i + 1]];
    half.push([b[0], (a[1] + b[1]) / 2, Math.min(a[2], b[2]), Math.max(a[3], b[3]), b[4]]);
  }
  if (steps.length % 2) half.push(steps.at(-1));
  return thinned(half);
}

/** The mean of the last fortieth of the run at every point. */
function smooth(steps) {
  const width = Math.max(1, Math.round(steps.length / 40));
  const means = [];
  let sum = 0;
  steps.forEach(([, loss], i) => {
    sum += loss - (i >= width ? steps[i - width][1] : 0);
    means.push(sum / Math.min(i + 1, width));
  });
  return means;
}

/** The losses as a picture in the style of `curve.svg`. */
function chart({ steps, evaluations, baseline, fraction, stage }) {
  const narrow = innerWidth < 620;
  const [width, height, left, right, top, bottom] = narrow ? [360, 250, 32, 104, 10, 48] : [760, 300, 44, 130, 12, 34];
  const means = smooth(steps);
  const last = steps.at(-1)[0];
  const full = stage === "training" && fraction > 0.02 ? last / Math.min(1, fraction) : last;
  const losses = [...means.slice(Math.floor(means.length * 0.02)), ...evaluations.map(([, loss]) => loss), ...(baseline ? [baseline] : [])];
  let [low, high] = [Math.min(...losses), Math.max(...losses)];
  const pad = (high - low) * 0.06 || 0.1;
  [low, high] = [low - pad, high + pad];
  const x = (step) => left + (width - left - right) * (step / full);
  const y = (loss) => top + (height - top - bottom) * (1 - (Math.min(high, Math.max(low, loss)) - low) / (high - low));
  const path = (points) => points.map(([step, loss], i) => `${i ? "L" : "M"}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join("");
  const best = evaluations.filter(([, , isBest]) => isBest).at(-1);
  const words = t("chart-words", {
    first: number(means[0], 2), last: number(means.at(-1), 2), updates: number(last), best: best ? number(best[1], 3) : "–",
  });
  const picture = el("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words, tabindex: 0 });
  for (const tick of ticks(low, high, 5)) {
    picture.append(el("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      el("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, number(tick, high - low < 0.5 ? 2 : 1)));
  }
  for (const tick of ticks(0, full, narrow ? 2 : 5)) {
    picture.append(el("text", { x: x(tick), y: height - bottom + 18, "text-anchor": "middle" }, number(tick)));
  }
  picture.append(el("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  const names = [];
  if (baseline) {
    picture.append(el("line", { class: "base", x1: left, x2: width - right, y1: y(baseline), y2: y(baseline) }));
    names.push([baseline, t("loss-baseline"), ""]);
  }
  const range = steps.map(([step, , least]) => `${x(step).toFixed(1)} ${y(least).toFixed(1)}`)
    .concat(steps.toReversed().map(([step, , , most]) => `${x(step).toFixed(1)} ${y(most).toFixed(1)}`));
  picture.append(el("path", { class: "range", d: `M${range.join("L")}Z` }),
    el("path", { class: "line", d: path(steps.map(([step], i) => [step, means[i]])) }));
  names.push([means.at(-1), t("loss-train"), "n-train"]);
  if (evaluations.length) {
    picture.append(el("path", { class: "valid", d: path(evaluations) }),
      ...evaluations.map((each) => el("circle", { class: each === best ? "dot best" : "dot", cx: x(each[0]), cy: y(each[1]), r: 4 })));
    names.push([evaluations.at(-1)[1], t("loss-valid"), "n-valid"]);
  }
  names.sort((a, b) => b[0] - a[0]);
  let lowest = -Infinity;
  for (const [loss, name, style] of names) {
    lowest = Math.max(lowest + 16, y(loss) + 4);
    picture.append(el("text", { class: style, x: width - right + 8, y: lowest }, name));
  }
  picture.append(el("text", { x: narrow ? left : width - right, y: height - 2, "text-anchor": narrow ? "start" : "end" }, `${t("updates")} · ${t("loss-unit")}`));
  return picture;
}

function table({ steps, evaluations }) {
  const means = smooth(steps);
  const rows = evaluations.map(([step, loss]) => {
    const i = steps.findLastIndex(([at]) => at <= step);
    return [number(step), i < 0 ? "–" : number(means[i], 3), number(loss, 3)];
  });
  return el("details", {}, el("summary", {}, t("table")), cells(["updates", "loss-train", "loss-valid"].map((name) => t(name)), rows));
}
