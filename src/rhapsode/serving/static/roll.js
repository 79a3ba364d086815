// Music: the piece as a piano roll, and its sound.

import { download, duration, el, number, post, problemWords, t } from "./base.js";

const bytes = (text) => Uint8Array.from(atob(text), (code) => code.charCodeAt(0));

export class Roll {
  /** `facts()` gives the model, the text, and the number of characters that nobody wrote but people. */
  constructor(root, facts) {
    this.root = root;
    this.facts = facts;
    this.notes = [];
    this.seconds = 0;
    this.picture = el("div", { class: "roll", role: "img", tabindex: 0 });
    this.button = el("button", { type: "button", class: "play", onclick: () => this.toggle() }, t("play"));
    this.clock = el("output", { class: "quiet" });
    this.files = ["mid", "wav", "abc"].map((suffix) => el("button", {
      type: "button", class: "plain", onclick: () => this.save(suffix),
    }, suffix === "mid" ? "MIDI" : suffix.toUpperCase()));
    root.replaceChildren(el("div", { class: "roll-head" }, this.button, this.clock, el("span", { class: "room" }), this.files), this.picture);
    this.picture.addEventListener("click", (event) => {
      const box = this.picture.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * this.seconds);
    });
    this.picture.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 2, ArrowLeft: -2 }[event.key];
      if (step) this.seek(this.now() + step);
      else if (event.key === " ") this.toggle();
      else return;
      event.preventDefault();
    });
  }

  async document(suffix) {
    const { model, text } = this.facts();
    const answer = await post("v1/completions", { model: model.id, prompt: text, echo: true, max_tokens: 0, document: `.${suffix}` });
    const { document: music } = (await answer.json()).choices[0].rhapsode;
    return { content: bytes(music.base64), type: music.mime };
  }

  /** Draw the piece as it is now. Half a measure may not be a piece yet; then the last one stays. */
  async update() {
    const { model, text } = this.facts();
    this.root.hidden = model?.kind !== "music" || !text;
    this.button.textContent = t(this.playing ? "pause" : "play");
    if (this.root.hidden || text === this.text) return;
    this.text = text;
    this.silence();
    try {
      const { content } = await this.document("mid");
      if (text !== this.text) return;
      Object.assign(this, notesOf(content));
      this.draw();
    } catch (problem) {
      this.clock.textContent = problemWords(problem);
    }
  }

  draw() {
    const { notes, seconds } = this;
    const pitches = notes.filter(({ drum }) => !drum).map(({ pitch }) => pitch);
    const [low, high] = [Math.min(60, ...pitches) - 2, Math.max(72, ...pitches) + 2];
    const [width, height] = [1000, 132];
    const picture = el("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const y = (pitch) => height * (1 - (pitch - low) / (high - low));
    for (let pitch = Math.ceil(low / 12) * 12; pitch <= high; pitch += 12) {
      picture.append(el("line", { class: "grid", x1: 0, x2: width, y1: y(pitch), y2: y(pitch) }));
    }
    const tracks = [...new Set(notes.map(({ track }) => track))];
    for (const { from, to, pitch, track, drum } of notes) {
      const place = drum ? height - 4 - (pitch % 5) * 5 : y(pitch);
      picture.append(el("rect", {
        class: `note n${tracks.indexOf(track) % 4}`, x: (from / seconds) * width, y: place - 2.5, height: 5,
        width: Math.max(1, ((to - from) / seconds) * width - 0.6), rx: 1,
      }));
    }
    this.line = el("line", { class: "head", x1: 0, x2: 0, y1: 0, y2: height });
    picture.append(this.line);
    this.picture.replaceChildren(picture);
    this.picture.setAttribute("aria-label", t("roll-words", { notes: number(notes.length), time: duration(seconds), parts: number(tracks.length) }));
    this.tick();
  }

  /* ---- Sound ------------------------------------------------------------- */

  now() {
    return this.playing ? Math.min(this.seconds, Math.max(0, this.audio.currentTime - this.began)) : (this.place ?? 0);
  }

  toggle() {
    if (this.playing) {
      const place = this.now();
      this.silence();
      this.place = place;
      this.tick();
      return;
    }
    this.audio ??= new AudioContext();
    this.audio.resume();
    this.start(this.place >= this.seconds - 0.05 ? 0 : (this.place ?? 0));
  }

  start(place) {
    this.silence();
    const { audio } = this;
    this.playing = new GainNode(audio, { gain: 0.35 });
    this.playing.connect(new DynamicsCompressorNode(audio)).connect(audio.destination);
    this.began = audio.currentTime + 0.08 - place;
    this.due = this.notes.filter(({ to }) => to > place).sort((a, b) => a.from - b.from);
    this.button.textContent = t("pause");
    this.timer = setInterval(() => this.schedule(), 100);
    this.schedule();
    this.run();
  }

  /** Hand the notes of the next half second to the sound device. */
  schedule() {
    const until = this.audio.currentTime - this.began + 0.5;
    while (this.due[0]?.from < until) this.voice(this.due.shift());
  }

  /** A plucked tone, or a stroke of a drum. */
  voice({ from, to, pitch, drum, force }) {
    const { audio, began } = this;
    const start = Math.max(audio.currentTime, began + from);
    const end = Math.max(start + 0.06, began + to);
    const envelope = new GainNode(audio, { gain: 0 });
    const loud = 0.25 + (0.45 * force) / 127;
    envelope.gain.setValueAtTime(0, start);
    envelope.gain.linearRampToValueAtTime(loud, start + 0.008);
    envelope.gain.setTargetAtTime(drum ? 0 : loud * 0.25, start + 0.01, drum ? 0.05 : 0.35);
    envelope.gain.setTargetAtTime(0, end, 0.06);
    this.wave ??= new PeriodicWave(audio, { real: [0, 0, 0, 0, 0, 0, 0], imag: [0, 1, 0.42, 0.2, 0.12, 0.05, 0.03] });
    const tone = drum ? new AudioBufferSourceNode(audio, { buffer: this.noise() })
      : new OscillatorNode(audio, { type: "custom", periodicWave: this.wave, frequency: 440 * 2 ** ((pitch - 69) / 12) });
    tone.connect(envelope).connect(this.playing);
    tone.start(start);
    tone.stop(end + 0.5);
  }

  noise() {
    if (!this.hiss) {
      this.hiss = this.audio.createBuffer(1, this.audio.sampleRate, this.audio.sampleRate);
      this.hiss.getChannelData(0).forEach((_, k, values) => { values[k] = Math.random() * 2 - 1; });
    }
    return this.hiss;
  }

  run() {
    if (!this.playing) return;
    this.tick();
    if (this.now() >= this.seconds) {
      this.silence();
      return;
    }
    requestAnimationFrame(() => this.run());
  }

  silence() {
    clearInterval(this.timer);
    this.playing?.disconnect();
    this.playing = null;
    this.place = 0;
    this.button.textContent = t("play");
    this.tick();
  }

  seek(place) {
    const wanted = Math.min(this.seconds, Math.max(0, place));
    if (this.playing) this.start(wanted);
    this.place = wanted;
    this.tick();
  }

  tick() {
    const x = this.seconds ? (this.now() / this.seconds) * 1000 : 0;
    this.line?.setAttribute("x1", x);
    this.line?.setAttribute("x2", x);
    const clock = (time) => `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")}`;
    this.clock.textContent = `${clock(this.now())} / ${clock(this.seconds)}`;
  }

  async save(suffix) {
    if (suffix === "wav") this.clock.textContent = t("making-sound");
    try {
      const { content, type } = await this.document(suffix);
      download(`${this.facts().model.id}.${suffix}`, content, type);
      this.tick();
    } catch (problem) {
      this.clock.textContent = problemWords(problem);
    }
  }
}

/** The notes of a MIDI file, in seconds. */
export function notesOf(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const word = (at) => String.fromCharCode(...file.subarray(at, at + 4));
  if (word(0) !== "MThd") throw new Error("not a MIDI file");
  const division = view.getUint16(12);
  const raw = [];
  const tempos = [[0, 500000]];
  let at = 8 + view.getUint32(4);
  for (let track = 0; at + 8 <= file.length; track += 1) {
    const end = at + 8 + view.getUint32(at + 4);
    if (word(at) === "MTrk") readTrack(file, at + 8, end, track, raw, tempos);
    at = end;
  }
  tempos.sort((a, b) => a[0] - b[0]);
  // Seconds at each change of tempo, and between.
  let [time, before, tempo] = [0, 0, 500000];
  const bends = tempos.map(([tick, next]) => {
    time += ((tick - before) / division) * (tempo / 1e6);
    [before, tempo] = [tick, next];
    return [tick, time, next];
  });
  const seconds = (tick) => {
    const [from, began, pace] = bends.findLast(([start]) => start <= tick);
    return began + ((tick - from) / division) * (pace / 1e6);
  };
  const notes = raw.map((note) => ({ ...note, from: seconds(note.from), to: seconds(note.to) }));
  return { notes, seconds: Math.max(0.1, ...notes.map(({ to }) => to)) };
}

function readTrack(file, start, end, track, notes, tempos) {
  let [at, tick, status] = [start, 0, 0];
  const open = new Map();
  const length = () => {
    let value = 0;
    let byte;
    do {
      byte = file[at];
      at += 1;
      value = value * 128 + (byte & 127);
    } while (byte & 128);
    return value;
  };
  while (at < end) {
    tick += length();
    if (file[at] & 128) {
      status = file[at];
      at += 1;
    }
    if (status === 0xff) {
      const kind = file[at];
      at += 1;
      const size = length();
      if (kind === 0x51) tempos.push([tick, (file[at] << 16) | (file[at + 1] << 8) | file[at + 2]]);
      at += size;
    } else if (status === 0xf0 || status === 0xf7) {
      at += length();
    } else {
      const [kind, channel] = [status >> 4, status & 15];
      const [pitch, force] = [file[at], file[at + 1]];
      at += kind === 12 || kind === 13 ? 1 : 2;
      const key = `${channel} ${pitch}`;
      if (kind === 9 && force) {
        if (!open.has(key)) open.set(key, []);
        open.get(key).push([tick, force]);
      } else if ((kind === 8 || kind === 9) && open.get(key)?.length) {
        const [from, loud] = open.get(key).shift();
        notes.push({ from, to: tick, pitch, force: loud, track: track * 16 + channel, drum: channel === 9 });
      }
    }
  }
}
