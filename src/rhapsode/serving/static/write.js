// Writing with a model: the text, its colours, rivals, branches, comparisons.

import {
  $, $$, Refused, announce, download, droppedFile, el, events, get, number, post, preference, problemWords, t, textOf,
} from "./base.js";
import { Bars, Settings, drawSliders, percent, visible } from "./samplers.js";
import { Surface, canColour, paint } from "./surface.js";
import { Elements, RIVALS, TextTree, TreeView } from "./tree.js";

const SCORED = 20000; // characters that are scored or looked up at once
const LARGEST = 5; // megabytes of a file

/** True of kinds of models that continue a text or a notation. */
export const writes = (kind) => kind === "text" || kind === "music";

export class Writer {
  /** `other(name)` is told of a chosen model that does not continue texts. */
  constructor({ other }) {
    this.other = other;
    this.tree = new TextTree();
    this.settings = new Settings();
    this.models = [];
    this.running = [];
    this.columns = [];
    this.pieces = [];
    this.chosen = null; // {piece, index, start, end} in the whole text
    this.hovered = null;
    this.copies = [];
    this.comparing = false;
    this.skipUnknown = false;
    this.stick = true;
    this.colour = canColour ? (preference("colour") ?? "none") : "none";
    this.surface = new Surface($("#text"), (from, to) => this.spans(from, to));
    this.view = new TreeView($("#tree"), this.tree, (place) => this.go(place));
    this.bars = new Bars($("#bars"), this.settings, (name) => this.branch(name));
  }

  async start() {
    this.listen();
    await this.tree.load();
    const last = this.tree.nodes.get(preference("current")?.id);
    if (last) this.tree.current = { node: last, end: Math.min(preference("current").end, last.text.length) };
    this.draw();
    await this.loadModels();
    this.show();
  }

  /* ---- Controls --------------------------------------------------------- */

  listen() {
    const typed = $("#typed");
    $("#go").addEventListener("click", () => this.write());
    $("#stop").addEventListener("click", () => this.stop());
    $("#again").addEventListener("click", () => this.again());
    $("#new").addEventListener("click", () => this.fresh());
    $("#save").addEventListener("click", () => this.saveFile());
    $("#cut").addEventListener("click", () => this.cut());
    $("#unchoose").addEventListener("click", () => this.choose(null));
    $("#compare").addEventListener("click", () => this.compare(!this.comparing));
    $("#colour").value = this.colour;
    $("#colour").disabled = !canColour;
    $("#colour").addEventListener("change", (event) => this.setColour(event.target.value));
    $("#model").addEventListener("change", (event) => this.choseModel(event.target.value));
    $("#length").value = this.settings.length;
    $("#length").addEventListener("change", (event) => {
      this.settings.length = Math.min(100000, Math.max(1, Math.round(Number(event.target.value)) || 400));
      event.target.value = this.settings.length;
      preference("length", this.settings.length);
    });
    $("#seed").value = this.settings.seed ?? "";
    $("#seed").addEventListener("change", (event) => {
      const digits = event.target.value.replace(/\D/g, "").slice(0, 15);
      event.target.value = digits;
      this.settings.seed = digits ? Number(digits) : null;
      preference("seed", this.settings.seed);
    });
    for (const button of $$("[data-set]")) {
      button.addEventListener("click", () => this.useSet(Number(button.dataset.set)));
    }
    typed.addEventListener("input", () => {
      this.grow();
      this.lookAhead();
    });
    const paper = $("#paper");
    paper.addEventListener("scroll", () => {
      this.stick = paper.scrollTop + paper.clientHeight > paper.scrollHeight - 60;
    }, { passive: true });
    paper.addEventListener("click", ({ target }) => {
      if (target === paper || target.className === "sheet") typed.focus();
    });
    paper.addEventListener("dragover", (event) => event.preventDefault());
    paper.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return; // a passage that is moved
      event.preventDefault();
      this.takeFile(() => droppedFile(event.dataTransfer, LARGEST));
    });
    this.listenToText($("#text"));
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("pagehide", () => this.stop());
  }

  listenToText(text) {
    let moved = null;
    text.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || this.running.length) return;
      if (!moved) requestAnimationFrame(() => {
        this.hover(moved.clientX, moved.clientY);
        moved = null;
      });
      moved = event;
    });
    text.addEventListener("copy", (event) => this.copy(event));
    text.addEventListener("pointerleave", () => this.hover(-1, -1));
    text.addEventListener("click", (event) => {
      if (!getSelection().isCollapsed) return; // somebody marks a passage
      const offset = this.surface.offsetAt(event.clientX, event.clientY);
      if (offset >= 0) this.choose(offset);
      else if (!$("#composer").hidden) $("#typed").focus();
    });
    text.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20 }[event.key];
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (step && this.surface.length) {
        event.preventDefault();
        this.stepTo(step);
      } else if (event.key === "Enter" && this.chosen) {
        event.preventDefault();
        document.body.classList.add("open-settings");
        this.bars.focus();
      }
    });
  }

  /** Copy the text itself: blocks are no paragraphs. */
  copy(event) {
    const range = getSelection().getRangeAt(0);
    const place = (node, offset) => (node.parentElement?.block ? node.parentElement.block.start + offset : -1);
    const [start, end] = [place(range.startContainer, range.startOffset), place(range.endContainer, range.endOffset)];
    if (start < 0 || end < 0) return;
    event.clipboardData.setData("text/plain", this.surface.text.slice(start, end));
    event.preventDefault();
  }

  key(event) {
    if (event.isComposing || $("#write").hidden || $("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (event.shiftKey) this.again();
      else this.write();
    } else if (event.key === "Escape") {
      if (this.running.length) this.stop();
      else if (this.chosen) {
        this.choose(null);
        $("#text").focus();
      }
    } else if (event.altKey && event.key.startsWith("Arrow") && event.target.id !== "typed") {
      event.preventDefault();
      this.walk(event.key.slice(5));
    } else if (event.altKey && event.key.startsWith("Arrow") && !event.target.value) {
      event.preventDefault();
      this.walk(event.key.slice(5));
    }
  }

  walk(direction) {
    const { current } = this.tree;
    if (!current || this.running.length) return;
    const parent = this.tree.nodes.get(current.node.parent);
    if (direction === "Left" && parent) this.go({ node: parent, end: current.node.at });
    const below = this.tree.branches(current.node);
    if (direction === "Right" && below.length) this.go(this.tree.tip(below.at(-1)));
    const beside = parent ? this.tree.branches(parent) : this.tree.roots;
    const step = { Up: -1, Down: 1 }[direction];
    const other = step && beside[beside.indexOf(current.node) + step];
    if (other) this.go(this.tree.tip(other));
  }

  useSet(which) {
    this.settings.which = which;
    for (const button of $$("[data-set]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.set) === which));
    }
    drawSliders($("#sliders"), this.settings);
    $("#model").value = this.settings.model(which);
    this.bars.update();
  }

  compare(on) {
    this.comparing = on;
    $("#compare").setAttribute("aria-pressed", String(on));
    $("#sets").hidden = !on;
    this.useSet(on ? 1 : 0);
    if (!on) this.closeColumns();
    this.buttons();
    this.grow();
  }

  setColour(colour) {
    this.colour = colour;
    $("#colour").value = colour;
    preference("colour", colour);
    this.drawLegend();
    this.colourNow();
  }

  /** Ask for what the chosen colours need and the text does not have yet. */
  async colourNow() {
    paint();
    if (this.running.length) return;
    try {
      if (this.colour === "copied") await this.findCopies();
      else if (this.colour !== "none") await this.score();
    } catch (problem) {
      this.problem(problem);
    }
    paint();
  }

  /* ---- Models ----------------------------------------------------------- */

  async loadModels() {
    try {
      this.models = (await get("api/models")).data;
    } catch (problem) {
      this.problem(problem);
      return;
    }
    const select = $("#model");
    select.replaceChildren(...this.models.map((model) => {
      const state = { loading: t("loading"), failed: t("failed") }[model.status];
      return el("option", { value: model.id, disabled: model.status === "failed" }, state ? `${model.id} (${state})` : model.id);
    }));
    const usable = this.models.filter(({ kind, status }) => writes(kind) && status !== "failed");
    const [first, second] = this.settings.sets;
    const known = (name) => usable.some(({ id }) => id === name);
    if (!known(first.model)) first.model = usable[0]?.id ?? null;
    if (!known(second.model)) second.model = null;
    select.value = this.settings.model(this.settings.which);
    $("#no-models").hidden = usable.length > 0;
    $(".sheet", $("#paper")).hidden = !usable.length;
    this.music();
    if (this.models.some(({ status }) => status === "loading")) {
      clearTimeout(this.asking);
      this.asking = setTimeout(() => this.loadModels(), 1000);
    } else if (!this.aheadOf) {
      this.lookAhead();
    }
    this.buttons();
  }

  /** A choice in the list of models. */
  choseModel(name) {
    if (writes(this.models.find(({ id }) => id === name)?.kind)) {
      this.settings.change("model", name);
      this.place();
      this.lookAhead();
      this.music();
      return;
    }
    $("#model").value = this.settings.model(this.settings.which);
    this.other(name);
  }

  /** Write with a model from now on. */
  use(name) {
    this.compare(false);
    $("#model").value = name;
    this.choseModel(name);
  }

  /** The piano roll of what a model of music writes. */
  async music() {
    $("#write").dataset.kind = this.model(0)?.kind ?? "text";
    if (this.model(0)?.kind !== "music" && !this.roll) return;
    if (!this.roll) {
      this.roll = import("./roll.js").then(({ Roll }) => new Roll($("#music"), () => ({ model: this.model(0), text: this.surface.text })));
    }
    const roll = await this.roll;
    if (!this.running.length && this.model(0)?.status === "ready") {
      await roll.update();
      if (this.stick) this.scrollDown();
    }
  }

  model(which) {
    return this.models.find(({ id }) => id === this.settings.model(which));
  }

  /* ---- Writing ---------------------------------------------------------- */

  /** Put what was typed into the tree. */
  take() {
    const typed = $("#typed");
    if (!typed.value) return;
    const { tree } = this;
    const here = tree.current;
    const { node } = here ?? {};
    if (node?.by === "you" && here.end === node.text.length && !tree.branches(node).length) {
      node.text += typed.value;
      node.elements = new Elements();
      here.end = node.text.length;
      tree.save(node);
    } else {
      tree.save(tree.add({ text: typed.value }));
    }
    typed.value = "";
    this.grow();
  }

  /** Take a file as the next piece: a text as it is, music as the notation of the model. */
  async takeFile(chosen) {
    if (this.running.length) return;
    const model = this.model(0);
    try {
      const file = chosen();
      if (model?.kind === "music") {
        const content = new Uint8Array(await file.arrayBuffer());
        const codes = [];
        for (let at = 0; at < content.length; at += 8192) codes.push(String.fromCharCode(...content.subarray(at, at + 8192)));
        const answer = await post("v1/completions", {
          model: model.id, prompt: { base64: btoa(codes.join("")), suffix: file.name.slice(file.name.lastIndexOf(".")).toLowerCase() }, echo: true, max_tokens: 0,
        });
        $("#typed").value = (await answer.json()).choices[0].text;
      } else {
        $("#typed").value = await textOf(file);
      }
    } catch (problem) {
      this.problem(problem);
      return;
    }
    this.take();
    this.show();
    this.scrollDown();
    this.lookAhead();
  }

  async write() {
    if (this.running.length || !this.settings.sets[0].model) return;
    this.hideProblem();
    this.choose(null);
    this.take();
    const base = this.tree.current;
    const prompt = this.tree.text();
    const seed = this.settings.seed ?? Math.floor(Math.random() * 2 ** 31);
    const sets = this.comparing ? [0, 1] : [0];
    this.stick = true;
    this.closeColumns();
    const tasks = sets.map((which) => this.begin(which, base, prompt, seed));
    if (this.comparing) {
      this.tree.current = base;
      this.openColumns(tasks);
    }
    this.show();
    this.scrollDown();
    if (this.comparing) {
      this.stick = false;
      $("#columns").scrollIntoView({ block: "start" });
    }
    announce(t("writing"));
    const began = performance.now();
    await Promise.all(tasks.map((task) => this.stream(task)));
    const count = tasks.reduce((sum, { node }) => sum + node.elements.count, 0);
    const seconds = (performance.now() - began) / 1000;
    this.running = [];
    for (const task of tasks) {
      if (task.node.text) this.tree.save(task.node);
      else this.tree.drop(task.node);
    }
    $("#text").setAttribute("aria-busy", "false");
    if (tasks.some(({ problem }) => !problem)) {
      announce(t("done", { elements: number(count), rate: number(count / Math.max(seconds, 0.01)), seed }));
    }
    this.show();
    if (this.columns.length) $("#columns").scrollIntoView({ block: "start" });
    this.lookAhead();
    if (this.colour === "copied") this.colourNow();
  }

  begin(which, base, prompt, seed) {
    const fields = this.settings.fields(which);
    const node = this.tree.add({ by: "model", model: this.settings.model(which), seed, settings: fields }, base);
    const task = { which, node, prompt, seed, fields, control: new AbortController(), waiting: "" };
    this.running.push(task);
    return task;
  }

  async stream(task) {
    const { node } = task;
    const body = {
      model: node.model, prompt: task.prompt, seed: task.seed, stream: true,
      max_tokens: this.settings.length, logprobs: RIVALS, ...task.fields,
    };
    if (this.skipUnknown) body.unknown = "skip";
    try {
      const answer = await post("v1/completions", body, { signal: task.control.signal });
      for await (const event of events(answer)) {
        const [choice] = event.choices;
        if (!choice) continue;
        node.text += choice.text;
        if (choice.logprobs) node.elements.add(choice.logprobs, node.text);
        task.waiting += choice.text;
        this.flushSoon();
      }
    } catch (problem) {
      if (problem.name !== "AbortError") {
        task.problem = problem;
        this.problem(problem, task);
      }
    }
    this.flush();
  }

  flushSoon() {
    if (this.flushing) return;
    this.flushing = requestAnimationFrame(() => this.flush());
  }

  /** Show what has arrived since the last frame. */
  flush() {
    cancelAnimationFrame(this.flushing);
    this.flushing = 0;
    let grown = false;
    for (const task of this.running) {
      if (!task.waiting) continue;
      const surface = task.column?.surface ?? this.surface;
      if (!task.column) {
        const last = this.pieces.at(-1);
        if (last?.node !== task.node) continue;
        last.end = task.node.text.length;
        this.tree.current = { node: task.node, end: last.end };
      }
      surface.append(task.waiting);
      task.waiting = "";
      grown = true;
    }
    if (grown && this.stick && !this.columns.length) this.scrollDown();
  }

  scrollDown() {
    const paper = $("#paper");
    paper.scrollTop = paper.scrollHeight;
  }

  stop() {
    for (const { control } of this.running) control.abort();
  }

  again() {
    if (this.running.length) return;
    const { current } = this.tree;
    if (current?.node.by === "model" && !$("#typed").value) {
      const parent = this.tree.nodes.get(current.node.parent);
      this.tree.current = parent ? { node: parent, end: current.node.at } : null;
    }
    this.write();
  }

  /** Download the text; of music as a MIDI file. */
  async saveFile() {
    this.take();
    this.show();
    const model = this.model(0);
    let file = new Blob([this.surface.text], { type: "text/plain;charset=utf-8" });
    let suffix = ".txt";
    try {
      if (model?.kind === "music") {
        suffix = ".mid";
        const answer = await post("v1/completions", {
          model: model.id, prompt: this.surface.text, echo: true, max_tokens: 0, document: suffix,
        });
        const { document: music } = (await answer.json()).choices[0].rhapsode;
        file = new Blob([Uint8Array.from(atob(music.base64), (code) => code.charCodeAt(0))], { type: music.mime });
      }
    } catch (problem) {
      this.problem(problem);
      return;
    }
    download(`${model?.id ?? "text"}${suffix}`, file, file.type);
  }

  fresh() {
    if (this.running.length) return;
    this.take();
    this.closeColumns();
    this.tree.current = null;
    this.show();
    this.lookAhead();
    $("#typed").focus();
  }

  go(place) {
    if (this.running.length) return;
    this.take();
    this.closeColumns();
    this.tree.current = place;
    this.chosen = null;
    this.show();
    this.scrollDown();
    this.lookAhead();
    this.colourNow();
  }

  /* ---- Comparing -------------------------------------------------------- */

  openColumns(tasks) {
    const root = $("#columns");
    root.hidden = false;
    this.columns = tasks.map((task) => {
      const letter = "AB"[task.which];
      const text = el("div", { class: "text", role: "log", "aria-live": "off", tabindex: 0, "aria-label": t("column", { letter }) });
      const surface = new Surface(text, (from, to) => this.columnSpans(task, from, to));
      const facts = [task.node.model, ...Object.entries(task.fields).map(([name, value]) => `${t(name)} ${value}`)];
      const keep = el("button", { type: "button", onclick: () => this.keep(task) }, t("keep", { letter }));
      root.append(el("section", { class: "column", "aria-label": t("column", { letter }) },
        el("div", { class: "column-head" }, el("b", {}, letter), el("span", { class: "quiet" }, facts.join(" · ")), keep), text));
      task.column = { surface, keep };
      return task;
    });
  }

  columnSpans(task, from, to) {
    const [one, two] = this.columns.map(({ node }) => node.text);
    let same = 0;
    while (same < one.length && one[same] === two[same]) same += 1;
    const spans = this.pieceSpans({ node: task.node, start: 0, end: task.node.text.length }, from, to);
    if (same > from && this.colour === "none") spans.unshift([from, Math.min(same, to), "you"]);
    return spans;
  }

  keep(task) {
    if (this.running.length) return;
    this.go({ node: task.node, end: task.node.text.length });
    $("#typed").focus();
  }

  closeColumns() {
    for (const { column } of this.columns) column.surface.close();
    this.columns = [];
    $("#columns").replaceChildren();
    $("#columns").hidden = true;
  }

  /* ---- Showing ---------------------------------------------------------- */

  draw() {
    drawSliders($("#sliders"), this.settings);
    this.drawLegend();
    this.show();
  }

  show() {
    this.pieces = this.tree.path();
    this.surface.set(this.tree.text());
    this.view.root.hidden = !this.tree.nodes.size;
    $("#no-tree").hidden = this.tree.nodes.size > 0;
    this.view.draw();
    const { current } = this.tree;
    preference("current", current && { id: current.node.id, end: current.end });
    this.buttons();
    this.grow();
    this.music();
    paint();
  }

  buttons() {
    const busy = this.running.length > 0;
    $("#go").hidden = busy;
    $("#stop").hidden = !busy;
    $("#go").disabled = !this.settings.sets[0].model;
    $("#again").disabled = busy || this.tree.current?.node.by !== "model";
    $("#new").disabled = busy;
    $("#save").disabled = busy || !this.surface.length;
    $("#text").setAttribute("aria-busy", String(busy));
    if (busy) this.bars.wait();
    $("#composer").hidden = busy || this.columns.length > 0;
    for (const { column } of this.columns) column.keep.disabled = busy;
  }

  /** What is typed begins where the text ends, also in the middle of a line. */
  place() {
    if ($("#write").hidden) return;
    const typed = $("#typed");
    const { surface } = this;
    const line = surface.tail.slice(surface.tail.lastIndexOf("\n") + 1);
    const composer = typed.parentElement;
    composer.style.marginTop = "";
    typed.placeholder = (line ? "  " : "") + t(surface.length ? "typed-more" : this.model(0)?.kind === "music" ? "typed-music" : "typed-first");
    typed.dir = "auto";
    typed.style.textIndent = "";
    if (!line || !surface.length || composer.hidden) return;
    const [box] = [...surface.range(surface.length - 1, surface.length).getClientRects()].slice(-1);
    if (!box) return;
    const sheet = surface.root.getBoundingClientRect();
    const strong = line.match(/\p{L}/u)?.[0];
    typed.dir = strong && /[\u0590-\u08ff\ufb1d-\ufefc]/u.test(strong) ? "rtl" : "ltr";
    const height = parseFloat(getComputedStyle(typed).lineHeight);
    composer.style.marginTop = `${(box.top + box.bottom - height) / 2 - sheet.bottom}px`;
    typed.style.textIndent = `${typed.dir === "rtl" ? sheet.right - box.left : box.right - sheet.left}px`;
  }

  grow() {
    const typed = $("#typed");
    this.place();
    typed.style.height = "auto";
    typed.style.height = `${typed.scrollHeight}px`;
  }

  drawLegend() {
    const names = { surprise: ["s1", "s2", "s3", "s4", "s5", "s6"], rank: ["r1", "r2", "r3"], copied: ["copied"] }[this.colour] ?? [];
    const legend = $("#legend");
    legend.hidden = !names.length;
    legend.replaceChildren(...names.map((name) => el("span", { class: `key ${name}` }, t(`legend-${name}`))));
  }

  spans(from, to) {
    const spans = [];
    for (const piece of this.pieces) {
      if (piece.start + piece.end <= from || piece.start >= to) continue;
      if (piece.node.by === "you" && this.colour === "none") {
        spans.push([piece.start, piece.start + piece.end, "you"]);
      }
      spans.push(...this.pieceSpans(piece, from, to));
    }
    for (const name of ["hovered", "chosen"]) {
      const range = this[name];
      if (range) spans.push([range.start, range.end, name === "hovered" ? "hover" : "chosen"]);
    }
    if (this.colour === "copied") {
      for (const copy of this.copies) spans.push([copy.start, copy.end, "copied"]);
    }
    return spans.filter(([start, end]) => end > from && start < to);
  }

  /** Colours of one piece, neighbours of one colour joined. */
  pieceSpans({ node, start, end }, from, to) {
    if (this.colour !== "surprise" && this.colour !== "rank") return [];
    const { elements } = node;
    const spans = [];
    for (let i = Math.max(0, elements.at(from - start)); i < elements.count; i += 1) {
      const begin = start + elements.starts[i];
      if (begin >= to || elements.starts[i] >= end) break;
      const finish = start + Math.min(end, elements.starts[i + 1] ?? node.text.length);
      const name = bucket(this.colour, elements.surprises[i], elements.ranks[i]);
      if (!name) continue;
      const last = spans.at(-1);
      if (last && last[2] === name && last[1] === begin) last[1] = finish;
      else spans.push([begin, finish, name]);
    }
    return spans;
  }

  /* ---- Elements and their rivals ---------------------------------------- */

  /** The element at an offset of the whole text, with its place. */
  element(offset) {
    const found = TextTree.find(this.pieces, offset);
    if (!found) return null;
    const { piece } = found;
    const { elements, text } = piece.node;
    const index = elements.at(found.offset);
    if (index < 0) return { piece, index, start: offset, end: offset + 1 };
    return {
      piece, index, start: piece.start + elements.starts[index],
      end: piece.start + Math.min(piece.end, elements.starts[index + 1] ?? text.length),
    };
  }

  hover(x, y) {
    const offset = x < 0 ? -1 : this.surface.offsetAt(x, y);
    const element = offset < 0 ? null : this.element(offset);
    if (element?.start === this.hovered?.start) return;
    this.hovered = element;
    this.drawTip(element);
    paint();
  }

  drawTip(element) {
    let tip = $("#tip");
    if (!element || element.index < 0) {
      tip?.remove();
      return;
    }
    if (!tip) {
      tip = el("div", { id: "tip", class: "tip", "aria-hidden": "true" });
      document.body.append(tip);
    }
    const { elements, text } = element.piece.node;
    const own = text.slice(elements.starts[element.index], elements.starts[element.index + 1] ?? text.length);
    const rivals = elements.rivals(element.index).slice(0, 5);
    tip.replaceChildren(...rivals.map(([name, chance]) => el("div", { class: name === own ? "own" : "" },
      el("bdi", { class: "name" }, visible(name)),
      el("span", { class: "track" }, el("span", { class: "bar", style: { width: `${chance * 100}%` } })),
      el("span", { class: "figure" }, percent(chance)))));
    const copy = this.copyAt(element.start);
    if (copy) tip.append(el("div", { class: "from" }, this.copyWords(copy)));
    const box = this.surface.range(element.start, element.end).getBoundingClientRect();
    const height = tip.offsetHeight;
    const above = box.top > height + 16;
    tip.style.left = `${Math.max(8, Math.min(innerWidth - tip.offsetWidth - 8, box.left - 12))}px`;
    tip.style.top = `${above ? box.top - height - 8 : box.bottom + 8}px`;
  }

  async choose(offset) {
    if (offset === null) {
      const had = this.chosen;
      this.chosen = null;
      if (had) this.lookAhead();
      this.drawChosen();
      paint();
      return;
    }
    this.chosen = this.element(offset);
    if (this.chosen && !this.chosen.piece.node.elements.count && !this.running.length) {
      try {
        await this.score();
      } catch (problem) {
        this.problem(problem);
      }
      this.chosen = this.element(offset);
    }
    this.drawChosen();
    paint();
  }

  stepTo(step) {
    const at = this.chosen ? (step > 0 ? this.chosen.end : this.chosen.start - 1)
      : this.surface.length - 1;
    const far = Math.abs(step) > 1 && this.chosen ? at + step : at;
    const offset = Math.min(this.surface.length - 1, Math.max(0, far));
    this.choose(offset);
    const box = this.surface.range(offset, offset + 1).getBoundingClientRect();
    const paper = $("#paper").getBoundingClientRect();
    if (box.top < paper.top || box.bottom > paper.bottom - 20) {
      $("#paper").scrollBy(0, box.top - paper.top - paper.height / 2);
    }
  }

  drawChosen() {
    const { chosen } = this;
    $("#chosen").hidden = !chosen;
    $("#next-title").textContent = t(chosen ? "rivals-title" : "next-title");
    if (!chosen) {
      $("#next-facts").textContent = "";
      return;
    }
    const { node } = chosen.piece;
    const own = this.surface.text.slice(chosen.start, chosen.end);
    const { elements } = node;
    if (chosen.index < 0) {
      this.bars.show([]);
      $("#next-facts").textContent = t("no-rivals");
      return;
    }
    const surprise = elements.surprises[chosen.index];
    const rank = elements.ranks[chosen.index];
    const facts = [node.by === "you" ? t("by-you") : t("by-model", { model: node.model })];
    if (surprise >= 0) {
      facts.unshift(t("element-facts", {
        name: visible(own), chance: percent(Math.exp(-surprise)),
        rank: rank > RIVALS ? `>${RIVALS}` : rank, bits: number(surprise / Math.LN2, 1),
      }));
    }
    const copy = this.copyAt(chosen.start);
    if (copy) facts.push(this.copyWords(copy));
    $("#next-facts").textContent = facts.join(" · ");
    this.bars.show(elements.rivals(chosen.index), own);
    announce(facts[0]);
  }

  /** Write another element at the chosen place, and go on from there. */
  branch(name) {
    if (this.running.length || name === "<end>") return;
    const { chosen, tree } = this;
    this.closeColumns();
    if (!chosen) {
      $("#typed").value += name;
      this.take();
      this.show();
      this.scrollDown();
      this.lookAhead(0, true);
      return;
    }
    const end = chosen.start - chosen.piece.start;
    this.chosen = null;
    tree.current = { node: chosen.piece.node, end };
    tree.save(tree.add({ text: name }));
    $("#text").focus();
    this.drawChosen();
    this.write();
  }

  /** Make the place before the chosen element the end of the text. */
  cut() {
    const { chosen } = this;
    if (!chosen) return;
    this.chosen = null;
    this.drawChosen();
    this.go({ node: chosen.piece.node, end: chosen.start - chosen.piece.start });
    $("#typed").focus();
  }

  /** Show what may come next, soon. */
  lookAhead(wait = 350, focus = false) {
    clearTimeout(this.ahead);
    if (!this.chosen) this.bars.wait();
    this.ahead = setTimeout(() => this.lookNow(focus), wait);
  }

  async lookNow(focus) {
    const model = this.model(this.settings.which);
    if (this.running.length || this.chosen) return;
    if (model?.status !== "ready") {
      this.bars.show([]);
      return;
    }
    this.aheadOf?.abort();
    this.aheadOf = new AbortController();
    const prompt = this.tree.text() + $("#typed").value;
    try {
      const answer = await post("v1/completions", {
        model: model.id, prompt, max_tokens: 1, logprobs: 20, temperature: 0, seed: 0, unknown: "skip",
      }, { signal: this.aheadOf.signal });
      const { choices } = await answer.json();
      const top = Object.entries(choices[0].logprobs?.top_logprobs?.[0] ?? {})
        .filter(([, value]) => value !== null).sort((a, b) => b[1] - a[1])
        .map(([name, value]) => [name, Math.exp(value)]);
      if (this.chosen || this.running.length) return;
      this.bars.others = Math.max(1, (model.elements ?? 70) - top.length);
      this.bars.show(top.slice(0, 12));
      if (focus) this.bars.focus();
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.bars.show([]);
      if (!(problem instanceof Refused)) this.problem(problem);
    }
  }

  /** Score the pieces of the text that have no probabilities yet. */
  async score() {
    const { pieces } = this;
    const lacking = pieces.filter(({ node, end }) => !node.elements.count && end === node.text.length && end);
    const model = this.model(0);
    if (!lacking.length || model?.status !== "ready") return;
    const text = this.surface.text;
    if (text.length > SCORED) {
      announce(t("too-long-to-score", { most: number(SCORED) }));
      return;
    }
    announce(t("scoring"));
    const answer = await post("v1/completions", {
      model: model.id, prompt: text, echo: true, max_tokens: 0, logprobs: RIVALS,
    });
    const { choices } = await answer.json();
    if (choices[0].text !== text) return; // it was normalised: places differ
    const whole = new Elements();
    whole.add(choices[0].logprobs, text);
    for (const { node, start, end } of lacking) {
      const own = new Elements();
      for (let i = 0; i < whole.count; i += 1) {
        const place = whole.starts[i] - start;
        if (place < 0 || place >= end) continue;
        own.starts.push(place);
        own.surprises.push(whole.surprises[i]);
        own.ranks.push(whole.ranks[i]);
        own.names.push(...whole.names.slice(i * RIVALS, (i + 1) * RIVALS));
        own.chances.push(...whole.chances.slice(i * RIVALS, (i + 1) * RIVALS));
      }
      node.elements = own;
      this.tree.save(node);
    }
    announce("");
  }

  /* ---- Copies ----------------------------------------------------------- */

  async findCopies() {
    const model = this.settings.sets[0].model;
    const text = this.surface.text;
    const start = Math.max(0, text.length - SCORED);
    if (!model || !text) return;
    const answer = await (await post("api/copies", { model, text: text.slice(start) })).json();
    // Offsets of the server count code points.
    const codes = [...text.slice(start)];
    const places = [0];
    for (const code of codes) places.push(places.at(-1) + code.length);
    this.copies = answer.copies.map((copy) => ({
      ...copy, start: start + places[copy.start], end: start + places[copy.end],
    }));
    announce(t("copies-found", { count: number(this.copies.length), share: percent(answer.share) }));
  }

  copyAt(offset) {
    return this.colour === "copied" && this.copies.find(({ start, end }) => start <= offset && offset < end);
  }

  copyWords(copy) {
    return t("copied-from", {
      document: copy.document, line: number(copy.line), characters: number(copy.end - copy.start),
      count: number(copy.count),
    });
  }

  /* ---- Problems --------------------------------------------------------- */

  /** Show a message above the text. */
  tell(words) {
    const notice = $("#notice");
    notice.hidden = false;
    notice.replaceChildren(el("span", {}, words),
      el("button", { type: "button", class: "plain", onclick: () => this.hideProblem() }, t("close")));
  }

  problem(problem, task) {
    const notice = $("#notice");
    this.tell(problemWords(problem));
    if (problem.code === "unknown_character" && task) {
      notice.firstChild.after(el("button", {
        type: "button",
        onclick: () => {
          this.skipUnknown = true;
          this.hideProblem();
          this.write();
        },
      }, t("skip-characters")));
    }
    announce("");
  }

  hideProblem() {
    $("#notice").hidden = true;
  }
}

function bucket(colour, surprise, rank) {
  if (surprise < 0) return null;
  if (colour === "rank") return rank <= 1 ? null : rank <= 3 ? "r1" : rank <= 10 ? "r2" : "r3";
  const bits = surprise / Math.LN2;
  const limits = [0.5, 1, 2, 4, 6, 9];
  let place = 0;
  while (place < limits.length && bits >= limits[place]) place += 1;
  return place ? `s${place}` : null;
}
