// The start of the page: session, language, theme, parts.

import { $, el, get, language, loadWords, post, preference, t, translate } from "./base.js";
import { Writer } from "./write.js";

const KEYS = [
  ["Ctrl ⏎", "key-write"], ["Ctrl ⇧ ⏎", "key-again"], ["Esc", "key-stop"],
  ["← →", "key-elements"], ["⏎", "key-rivals"], ["Alt ← →", "key-depth"], ["Alt ↑ ↓", "key-beside"], ["?", "key-help"],
];
const writer = new Writer();
let trainer = null;

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

async function part() {
  const name = location.hash === "#train" ? "train" : "write";
  for (const one of ["write", "train"]) {
    $(`#${one}`).hidden = one !== name;
    if (one === name) $(`#to-${one}`).setAttribute("aria-current", "page");
    else $(`#to-${one}`).removeAttribute("aria-current");
  }
  document.title = `${t(`${name}-tab`)} · rhapsode`;
  if (name === "train" && !trainer) {
    const { Trainer } = await import("./train.js");
    trainer = new Trainer($("#train"), { mayWrite: state.may_write, opened: openModel });
    trainer.start();
  }
}

/** Write with a model that has just been trained; the server may still be opening it. */
async function openModel(name) {
  location.hash = "#write";
  let model;
  for (let tries = 0; tries < 40 && (model?.status ?? "loading") === "loading"; tries += 1) {
    if (tries) await new Promise((done) => setTimeout(done, 500));
    await writer.loadModels();
    model = writer.models.find(({ id }) => id === name);
  }
  if (!model || model.modality === "series.v1") {
    writer.tell(t(model ? "series-model" : "not-served", { name }));
    return;
  }
  writer.settings.which = 0;
  writer.settings.change("model", name);
  $("#model").value = name;
  writer.fresh();
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
    writer.draw();
    trainer?.draw();
    part();
  });
  $("#help").addEventListener("click", help);
  $("#help-box button").addEventListener("click", (event) => {
    event.preventDefault();
    $("#help-box").close();
  });
  addEventListener("hashchange", part);
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
