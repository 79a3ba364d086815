// What all parts of the page share: elements, words, requests, storage, preferences.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element. Text is always set as text, never as markup. */
export function el(tag, attributes = {}, ...children) {
  const space = ["svg", "path", "line", "text", "g", "circle", "rect"].includes(tag);
  const node = space
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/* ---- Words ------------------------------------------------------------- */

let words = {};
export let language = "en";

export const t = (key, values = {}) =>
  (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

export async function loadWords(wanted) {
  language = wanted;
  words = await (await fetch(`static/${wanted}.json`)).json();
  document.documentElement.lang = wanted === "zh" ? "zh-Hans" : wanted;
  translate(document);
}

/** Fill in the words of elements that name their key. */
export function translate(root) {
  for (const node of $$("[data-t]", root)) node.textContent = t(node.dataset.t);
  for (const node of $$("[data-t-label]", root)) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
  }
  for (const node of $$("[data-t-title]", root)) {
    node.title = t(node.dataset.tTitle);
    if (!node.textContent.trim()) node.setAttribute("aria-label", node.title);
  }
  for (const node of $$("[data-t-placeholder]", root)) {
    node.placeholder = t(node.dataset.tPlaceholder);
  }
}

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en", {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
  }).format(value);

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  if (minutes >= 60) {
    return t("hours-minutes", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
  }
  return minutes ? t("minutes-seconds", { minutes, seconds: whole % 60 }) : t("seconds", { seconds: whole });
}

export const moment = (seconds) => new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", {
  dateStyle: "medium", timeStyle: "short",
}).format(new Date(seconds * 1000));

/* ---- Parts of forms and pictures ---------------------------------------- */

/** A control with the word of its name. */
export const field = (name, control) =>
  el("div", { class: "field" }, el("label", { for: control.id }, t(name)), control);

/** A choice among [value, words]. */
export function choice(id, values, chosen, change) {
  const select = el("select", { id, onchange: () => change(select.value) }, values.map(([value, words]) =>
    el("option", { value, selected: value === chosen }, words)));
  return field(id, select);
}

/** A table of a head and rows of words. */
export function cells(head, rows) {
  const line = (tag, values) => el("tr", {}, values.map((value) => el(tag, tag === "th" ? { scope: "col" } : {}, value)));
  return el("table", {}, el("thead", {}, line("th", head)), el("tbody", {}, rows.map((row) => line("td", row))));
}

/** Give a file to whoever looks at the page. */
export function download(name, content, type) {
  const link = el("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Round numbers between two bounds. */
export function* ticks(low, high, count) {
  const raw = (high - low) / count;
  const scale = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((each) => each * scale >= raw) * scale;
  for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) yield tick;
}

/* ---- Requests ---------------------------------------------------------- */

export class Refused extends Error {
  constructor(error, status) {
    super(error.message || `HTTP ${status}`);
    this.code = error.code;
    this.status = status;
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  let error = {};
  try {
    error = (await answer.json()).error ?? {};
  } catch {
    // not an answer of this server
  }
  throw new Refused(error, answer.status);
}

export const get = async (path) => (await checked(await fetch(path))).json();

export async function post(path, body = {}, options = {}) {
  const headers = { "content-type": "application/json", ...options.headers };
  const request = { method: "POST", headers, body: JSON.stringify(body), signal: options.signal };
  return checked(await fetch(path, request));
}

/** The events of a stream; one decoder, so that characters may be cut anywhere. */
export async function* events(answer) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder("utf-8");
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    waiting += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const parts = waiting.split("\n\n");
    waiting = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart()).join("\n");
      if (!data || data === "[DONE]") continue;
      const event = JSON.parse(data);
      if (event.error) throw new Refused(event.error, 200);
      yield event;
    }
    if (done) return;
  }
}

/** Words for a problem of a request. */
export function problemWords(problem) {
  if (problem instanceof TypeError) return t("no-server");
  const key = `error-${problem.code}`;
  return t(key) === key ? problem.message : t(key, { message: problem.message });
}

/* ---- Files ------------------------------------------------------------- */

/** The only file of a drop, which has at most some megabytes. */
export function droppedFile(transfer, megabytes) {
  if (transfer.items[0]?.webkitGetAsEntry?.()?.isDirectory) throw new Error(t("file-folder"));
  if (transfer.files.length > 1) throw new Error(t("file-one"));
  return fitting(transfer.files[0], megabytes);
}

/** A file, if it is neither empty nor too large. */
export function fitting(file, megabytes) {
  if (!file.size) throw new Error(t("file-empty", { name: file.name }));
  if (file.size > megabytes * 2 ** 20) throw new Error(t("file-large", { name: file.name, size: megabytes }));
  return file;
}

/** The text of a file. */
export async function textOf(file) {
  const content = await file.arrayBuffer();
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    if (!text.includes("\0")) return text;
  } catch {
    // told below
  }
  throw new Error(t("file-no-text", { name: file.name }));
}

/* ---- Storage ----------------------------------------------------------- */

const opened = new Promise((resolve) => {
  let request;
  try {
    request = indexedDB.open("rhapsode", 1);
  } catch {
    resolve(null);
    return;
  }
  request.onupgradeneeded = () => request.result.createObjectStore("nodes", { keyPath: "id" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => resolve(null);
});

export async function stored() {
  const database = await opened;
  if (!database) return [];
  return new Promise((resolve) => {
    const request = database.transaction("nodes").objectStore("nodes").getAll();
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve([]);
  });
}

export async function store(node) {
  const database = await opened;
  database?.transaction("nodes", "readwrite").objectStore("nodes").put(node);
}

export const preference = (name, value) => {
  try {
    if (value === undefined) return JSON.parse(localStorage.getItem(`rhapsode.${name}`));
    localStorage.setItem(`rhapsode.${name}`, JSON.stringify(value));
  } catch {
    // private windows may have no storage
  }
  return null;
};

/** One polite line for screen readers. */
export function announce(text) {
  $("#status").textContent = text;
}
