// The start of the page: session, language, theme, parts.

import { $, announce, el, get, language, loadWords, post, preference, t, translate } from "./base.js";
import { Writer, writes } from "./write.js";

const KEYS = [
  ["Ctrl ⏎", "key-write"], ["Ctrl ⇧ ⏎", "key-again"], ["Esc", "key-stop"],
  ["← →", "key-elements"], ["⏎", "key-rivals"], ["Alt ← →", "key-depth"], ["Alt ↑ ↓", "key-beside"], ["?", "key-help"],
];
const writer = new Writer({ other: (name) => useOther(name) });
let trainer = null;
let kinds = null;

async function session() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return get("api/session");
  history.replaceState(null, "", `${location.pathname}${location.search}#write`);
  await post("v1/session", {}, { headers: { "x-rhapsode-token": token } });
  return get("api/session");
}

function theme(wanted) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = wanted ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now;
  $("#theme").setAttribute("aria-pressed", String(now === "dark"));
}

/** The model of another kind that is looked at; none while a text is written. */
function otherModel() {
  const others = writer.models.filter(({ kind, status }) => !writes(kind) && status !== "failed");
  const chosen = others.find(({ id }) => id === preference("other"));
  return chosen ?? (writer.models.some(({ kind }) => writes(kind)) ? null : others[0]);
}

async function part() {
  const name = location.hash === "#train" ? "train" : "write";
  const other = name === "write" && otherModel();
  for (const one of ["write", "kind", "train"]) $(`#${one}`).hidden = one !== (other ? "kind" : name);
  for (const one of ["write", "train"]) {
    if (one === name) $(`#to-${one}`).setAttribute("aria-current", "page");
    else $(`#to-${one}`).removeAttribute("aria-current");
  }
  document.title = `${t(`${name}-tab`)} · rhapsode`;
  if (other) {
    const { KindView } = await import("./kinds.js");
    kinds ??= new KindView($("#kind"), { models: () => writer.models, choose: useModel });
    kinds.open(other);
  } else if (name === "write") {
    writer.place();
  }
  if (name === "train" && !trainer) {
    const { Trainer } = await import("./train.js");
    trainer = new Trainer($("#train"), { mayWrite: state.may_write, opened: openModel });
    trainer.start();
  }
}

async function useOther(name) {
  preference("other", name);
  await part();
  $("#kind-model").focus();
}

/** Write or ask with a model, whatever its kind. */
async function useModel(name) {
  const model = writer.models.find(({ id }) => id === name);
  if (!writes(model.kind)) return useOther(name);
  preference("other", null);
  writer.use(name);
  await part();
  return $("#model").focus();
}

/** Write with a model that has just been trained; the server may still be opening it. */
async function openModel(name) {
  let model;
  for (let tries = 0; tries < 120 && (model?.status ?? "loading") === "loading"; tries += 1) {
    if (tries) await new Promise((done) => setTimeout(done, 500));
    await writer.loadModels();
    model = writer.models.find(({ id }) => id === name);
  }
  if (!model || model.status === "failed") {
    writer.tell(t(model ? "cannot-open" : "not-served", { name }));
    return;
  }
  if (writes(model.kind)) {
    writer.use(name);
    writer.fresh();
  }
  preference("other", writes(model.kind) ? null : name);
  history.pushState(null, "", "#write");
  await part();
  $(writes(model.kind) ? "#typed" : "#kind-model").focus();
}

function help() {
  $("#keys").replaceChildren(...KEYS.flatMap(([keys, word]) => [
    el("dt", {}, el("kbd", {}, keys)), el("dd", {}, t(word)),
  ]));
  $("#help-box").showModal();
}

async function speak(wanted) {
  await loadWords(wanted);
  preference("language", wanted);
  const other = $("#language");
  other.textContent = wanted === "zh" ? "English" : "中文";
  other.lang = wanted === "zh" ? "en" : "zh-Hans";
}

function listen() {
  $("#theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    preference("theme", next);
    theme(next);
  });
  $("#language").addEventListener("click", async () => {
    await speak(language === "zh" ? "en" : "zh");
    announce("");
    writer.draw();
    trainer?.draw();
    kinds?.draw();
    part();
  });
  $("#help").addEventListener("click", help);
  $("#help-box button").addEventListener("click", (event) => {
    event.preventDefault();
    $("#help-box").close();
  });
  addEventListener("hashchange", part);
  // A file that misses its place would be opened in place of the page.
  for (const kind of ["dragover", "drop"]) {
    addEventListener(kind, (event) => {
      if (event.defaultPrevented || event.target.closest?.("input, textarea")) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(preference("theme")));
  for (const [button, side] of [["#show-branches", "branches"], ["#show-settings", "settings"]]) {
    $(button).addEventListener("click", () => drawer(side));
  }
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
    if (event.key === "?" && !typing && !$("dialog[open]")) help();
    if (event.key === "Escape") drawer(null);
  });
  $("#paper").addEventListener("click", () => drawer(null));
}

/** On narrow screens the sides are drawers; one at a time. */
function drawer(side) {
  for (const one of ["branches", "settings"]) {
    const open = one === side && !document.body.classList.contains(`open-${one}`);
    document.body.classList.toggle(`open-${one}`, open);
    $(`#show-${one}`).setAttribute("aria-expanded", String(open));
  }
}

let state = { may_write: false };
theme(preference("theme"));
const wanted = preference("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
const [opened] = await Promise.allSettled([session(), speak(wanted)]);
if (opened.status === "fulfilled") state = opened.value;
else writer.problem(opened.reason);
translate(document);
listen();
await writer.start();
await part();
window.writer = writer;
document.documentElement.dataset.ready = "true";
