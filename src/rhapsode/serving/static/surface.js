// A text that may be long and may grow quickly.
//
// One text node holds a block of lines, so that the number of nodes does not depend on the number
// of elements. Colours are highlights (CSS Custom Highlight API) over the blocks in sight: no
// element of the page belongs to an element of the text.

import { el } from "./base.js";

const BLOCK = 800; // characters after which a block ends at the next line end
const LONGEST = 3000; // characters after which a block ends anyway
const surfaces = new Set();
let painting = 0;
let paintedAt = 0;

/** Names of all highlights; `style.css` has a rule for each. */
const NAMES = ["you", "s1", "s2", "s3", "s4", "s5", "s6", "r1", "r2", "r3", "copied", "hover", "chosen"];

export const canColour = "highlights" in CSS && typeof StaticRange === "function";

export class Surface {
  /** `spans(from, to)` gives [start, end, name] of the colours between two offsets. */
  constructor(root, spans = () => []) {
    this.root = root;
    this.spans = spans;
    this.blocks = [];
    this.length = 0;
    this.seen = new Set();
    this.watch = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) this.seen.add(entry.target.block);
        else this.seen.delete(entry.target.block);
      }
      paint();
    }, { root: null, rootMargin: "200px" });
    surfaces.add(this);
  }

  close() {
    this.watch.disconnect();
    surfaces.delete(this);
    this.root.replaceChildren();
    paint();
  }

  get text() {
    return this.blocks.map((block) => block.node.data).join("");
  }

  /** The last characters. */
  get tail() {
    return this.blocks.at(-1)?.node.data ?? "";
  }

  /** Show another text. Blocks that stay the same are kept. */
  set(text) {
    let same = 0;
    let at = 0;
    while (same < this.blocks.length - 1) {
      const block = this.blocks[same];
      if (text.length < at + block.node.length || !text.startsWith(block.node.data, at)) break;
      at += block.node.length;
      same += 1;
    }
    for (const block of this.blocks.splice(same)) {
      this.watch.unobserve(block.element);
      this.seen.delete(block);
      block.element.remove();
    }
    this.length = at;
    this.append(text.slice(at));
    paint();
  }

  append(text) {
    let rest = text;
    while (rest) {
      let block = this.blocks.at(-1);
      if (!block || block.full) block = this.add();
      const room = BLOCK - block.node.length;
      let end = rest.length;
      if (rest.length > room || block.node.length > BLOCK) {
        const from = Math.max(0, room);
        const line = rest.indexOf("\n", from);
        const limit = Math.max(1, LONGEST - block.node.length);
        if (line >= 0 && line < limit) {
          end = line + 1;
          block.full = true;
        } else if (rest.length >= limit) {
          const space = rest.lastIndexOf(" ", limit);
          end = space > 0 ? space + 1 : limit;
          const code = rest.charCodeAt(end - 1);
          if (code >= 0xd800 && code < 0xdc00 && end > 1) end -= 1; // never between surrogates
          block.full = true;
        }
      }
      block.node.appendData(rest.slice(0, end));
      if (block.full) block.element.classList.add("full");
      this.length += end;
      rest = rest.slice(end);
    }
    paint();
  }

  add() {
    const node = document.createTextNode("");
    const element = el("p", { class: "block", dir: "auto" });
    element.append(node);
    const block = { node, element, start: this.length, full: false };
    element.block = block;
    this.blocks.push(block);
    this.root.append(element);
    this.watch.observe(element);
    return block;
  }

  /** The block that holds an offset. */
  blockAt(offset) {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle].start <= offset) low = middle;
      else high = middle - 1;
    }
    return this.blocks[low];
  }

  /** The offset at a point of the screen; -1 outside of the text. */
  offsetAt(x, y) {
    let node;
    let offset;
    if (document.caretPositionFromPoint) {
      const place = document.caretPositionFromPoint(x, y);
      [node, offset] = [place?.offsetNode, place?.offset];
    } else if (document.caretRangeFromPoint) {
      const range = document.caretRangeFromPoint(x, y);
      [node, offset] = [range?.startContainer, range?.startOffset];
    }
    const block = node?.parentElement?.block;
    if (!block || !this.root.contains(node)) return -1;
    // The caret is beside a character; which one it stands on decides the element.
    for (const place of [offset, offset - 1]) {
      if (place < 0 || place >= block.node.length) continue;
      const range = document.createRange();
      range.setStart(block.node, place);
      range.setEnd(block.node, place + 1);
      for (const box of range.getClientRects()) {
        if (x >= box.left - 1 && x <= box.right + 1 && y >= box.top - 4 && y <= box.bottom + 4) {
          return block.start + place;
        }
      }
    }
    return -1;
  }

  range(start, end) {
    const first = this.blockAt(start);
    const last = this.blockAt(Math.max(start, end - 1));
    const range = document.createRange();
    range.setStart(first.node, Math.min(first.node.length, start - first.start));
    range.setEnd(last.node, Math.min(last.node.length, end - last.start));
    return range;
  }
}

/** Colour what is in sight, soon and at most ten times a second. */
export function paint() {
  if (painting || !canColour) return;
  const wait = Math.max(0, 100 - (performance.now() - paintedAt));
  painting = setTimeout(() => requestAnimationFrame(paintNow), wait);
}

function paintNow() {
  painting = 0;
  paintedAt = performance.now();
  const ranges = Object.fromEntries(NAMES.map((name) => [name, []]));
  for (const surface of surfaces) {
    for (const block of surface.seen) {
      const { node, start } = block;
      for (const [from, to, name] of surface.spans(start, start + node.length)) {
        const begin = Math.max(0, from - start);
        const end = Math.min(node.length, to - start);
        if (end > begin) {
          ranges[name].push(new StaticRange({
            startContainer: node, startOffset: begin, endContainer: node, endOffset: end,
          }));
        }
      }
    }
  }
  for (const [rank, name] of NAMES.entries()) {
    if (ranges[name].length) {
      const highlight = new Highlight(...ranges[name]);
      highlight.priority = rank;
      CSS.highlights.set(name, highlight);
    } else {
      CSS.highlights.delete(name);
    }
  }
}
