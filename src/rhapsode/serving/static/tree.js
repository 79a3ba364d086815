// Texts as a tree of pieces. A piece begins somewhere in another; nothing is ever removed.

import { el, store, stored, t } from "./base.js";

export const RIVALS = 10;

/** What a model thought at every element of a piece. */
export class Elements {
  constructor(plain = {}) {
    this.starts = plain.starts ?? []; // offsets in the piece
    this.surprises = plain.surprises ?? []; // nats; -1 where unknown
    this.ranks = plain.ranks ?? []; // from 1; 0 where unknown
    this.names = plain.names ?? []; // RIVALS for each element
    this.chances = plain.chances ?? []; // probabilities of these
    this.codes = plain.codes ?? 0; // code points of the piece, and their place in it
    this.place = plain.place ?? 0;
  }

  get count() {
    return this.starts.length;
  }

  /** Add the log-probabilities of an answer. `text` is the piece so far. */
  add(logprobs, text) {
    for (let i = 0; i < logprobs.tokens.length; i += 1) {
      const offset = logprobs.text_offset[i];
      if (offset < this.codes) [this.codes, this.place] = [0, 0];
      while (this.codes < offset && this.place < text.length) {
        this.place += text.codePointAt(this.place) > 0xffff ? 2 : 1;
        this.codes += 1;
      }
      const own = logprobs.token_logprobs[i];
      const rivals = Object.entries(logprobs.top_logprobs?.[i] ?? {})
        .filter(([, value]) => value !== null).sort((a, b) => b[1] - a[1]);
      const rank = rivals.findIndex(([, value]) => value === own) + 1;
      this.starts.push(this.place);
      this.surprises.push(own === null ? -1 : -own);
      this.ranks.push(own === null ? 0 : rank || RIVALS + 1);
      for (let k = 0; k < RIVALS; k += 1) {
        this.names.push(rivals[k]?.[0] ?? null);
        this.chances.push(rivals[k] ? Math.exp(rivals[k][1]) : 0);
      }
    }
  }

  /** The last element that begins at or before an offset; -1 without one. */
  at(offset) {
    let low = -1;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  rivals(index) {
    const list = [];
    for (let k = index * RIVALS; k < (index + 1) * RIVALS; k += 1) {
      if (this.names[k] !== null) list.push([this.names[k], this.chances[k]]);
    }
    return list;
  }
}

export class TextTree {
  constructor() {
    this.nodes = new Map();
    this.children = new Map();
    this.current = null; // {node, end}
  }

  async load() {
    const nodes = await stored();
    nodes.sort((a, b) => a.created - b.created);
    for (const plain of nodes) {
      this.enter({ ...plain, elements: new Elements(plain.elements) });
    }
  }

  enter(node) {
    this.nodes.set(node.id, node);
    const parent = node.parent ?? "";
    if (!this.children.has(parent)) this.children.set(parent, []);
    this.children.get(parent).push(node);
    return node;
  }

  /** A new piece after the current place, which becomes the current one. */
  add(facts, from = this.current) {
    const node = this.enter({
      id: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`,
      parent: from?.node.id ?? null,
      at: from?.end ?? 0,
      created: Date.now(),
      text: "",
      by: "you",
      elements: new Elements(),
      ...facts,
    });
    this.current = { node, end: node.text.length };
    return node;
  }

  /** Forget a piece in which nothing was ever written. */
  drop(node) {
    const beside = this.branches(node.parent ? this.nodes.get(node.parent) : null);
    beside.splice(beside.indexOf(node), 1);
    this.nodes.delete(node.id);
    if (this.current?.node === node) {
      const parent = this.nodes.get(node.parent);
      this.current = parent ? { node: parent, end: node.at } : null;
    }
  }

  save(node) {
    store({ ...node, elements: { ...node.elements } });
  }

  branches(node) {
    return this.children.get(node?.id ?? "") ?? [];
  }

  /** The pieces from the beginning to a place: [{node, end, start}], start in the whole text. */
  path(place = this.current) {
    const pieces = [];
    let here = place;
    while (here) {
      pieces.unshift({ node: here.node, end: here.end });
      const parent = here.node.parent && this.nodes.get(here.node.parent);
      here = parent ? { node: parent, end: here.node.at } : null;
    }
    let start = 0;
    for (const piece of pieces) {
      piece.start = start;
      start += piece.end;
    }
    return pieces;
  }

  text(place = this.current) {
    return this.path(place).map(({ node, end }) => node.text.slice(0, end)).join("");
  }

  /** The piece and the offset in it at an offset of the whole text. */
  static find(pieces, offset) {
    for (let i = pieces.length - 1; i >= 0; i -= 1) {
      if (pieces[i].start <= offset && pieces[i].end > 0) {
        return { piece: pieces[i], offset: offset - pieces[i].start };
      }
    }
    return null;
  }

  /** The place at the end of the newest continuation below a piece. */
  tip(node) {
    let here = node;
    for (;;) {
      const own = this.branches(here).filter((child) => child.at === here.text.length);
      if (!own.length) return { node: here, end: here.text.length };
      here = own.at(-1);
    }
  }

  get roots() {
    return this.branches(null);
  }
}

/** The tree as a list that the keyboard walks. */
export class TreeView {
  constructor(root, tree, go) {
    this.root = root;
    this.tree = tree;
    this.go = go;
    root.addEventListener("keydown", (event) => this.key(event));
  }

  draw() {
    const { tree } = this;
    const onPath = new Set(tree.path().map(({ node }) => node.id));
    const hadFocus = this.root.contains(document.activeElement);
    const rows = [];
    const visit = (node, depth) => {
      rows.push(this.row(node, depth, onPath));
      const kids = tree.branches(node);
      const below = kids.length > 1 ? depth + 1 : depth;
      for (const kid of kids) visit(kid, kids.length > 1 ? below : depth);
    };
    for (const node of [...tree.roots].reverse()) visit(node, 0);
    this.root.replaceChildren(...rows);
    const here = this.root.querySelector("[aria-current]");
    here?.scrollIntoView({ block: "nearest" });
    if (hadFocus) here?.focus();
  }

  row(node, depth, onPath) {
    const words = node.text.replace(/\s+/g, " ").trim();
    const current = this.tree.current?.node === node;
    const level = Math.min(depth, 8);
    return el("li", {
      role: "treeitem",
      "aria-level": depth + 1,
      "aria-current": current ? "true" : null,
      "aria-selected": current ? "true" : "false",
      tabindex: current ? 0 : -1,
      class: `twig ${node.by} ${onPath.has(node.id) ? "on" : ""}`,
      "data-id": node.id,
      dir: "auto",
      style: { paddingInlineStart: `${0.75 + level * 0.9}rem` },
      onclick: () => this.go({ node, end: node.text.length }),
    }, words ? words.slice(0, 60) : t("empty-piece"));
  }

  key(event) {
    const rows = [...this.root.children];
    const index = rows.indexOf(document.activeElement);
    if (index < 0) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      rows[Math.min(rows.length - 1, Math.max(0, index + step))].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      rows[index].click();
    }
  }
}
