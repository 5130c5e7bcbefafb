// A film: its frame at the beginning of the part that is wanted is the photo, so that all that is chosen is seen on it;
// then the part is painted as a job, and watched beside the film itself. It knows no style.

import { call } from "./api.js";
import { nameIn } from "./painter.js";
import { $, complain, say } from "./page.js";
import { fields } from "./state.js";
import { t } from "./words.js";

const ENDINGS = /\.(mp4|m4v|mov|mkv|webm|avi)$/i;
const LEAST = 0.1; // seconds of a part
const APART = 0.08; // seconds by which the two films may run apart

export const isFilm = (file) => file.type.startsWith("video/") || ENDINGS.test(file.name);

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

export class Films {
  constructor(on) {
    this.on = on; // {opened(), frame(file): a frame to try styles on, painted(list): paints and gives the job, watching(on)}
    this.painting = false;
    this.before = $("film-before");
    this.after = $("film-after");
    $("film-start").addEventListener("input", () => this.trim("film-start"));
    $("film-end").addEventListener("input", () => this.trim("film-end"));
    $("film-start").addEventListener("change", () => this.showFrame().catch(complain));
    $("film-paint").addEventListener("click", () => this.paint());
    $("film-watch").addEventListener("click", () => this.watch($("watch").hidden));
    $("film-download").addEventListener("click", () => save(this.made));
    $("film-close").addEventListener("click", () => this.close());
    for (const event of ["play", "pause", "seeked", "timeupdate", "ratechange"]) this.after.addEventListener(event, () => this.follow());
  }

  async open(file, limits) {
    this.close();
    this.address = URL.createObjectURL(file);
    this.before.src = this.address;
    try {
      await new Promise((loaded, failed) => {
        this.before.addEventListener("loadeddata", loaded, { once: true });
        this.before.addEventListener("error", failed, { once: true });
      });
    } catch {
      this.close();
      complain(new Error(t("no_video")));
      return;
    }
    Object.assign(this, { file, limits });
    this.on.opened();
    Object.assign($("film-start"), { max: Math.max(0, this.length - LEAST), value: 0 });
    Object.assign($("film-end"), { max: this.length, value: this.length });
    this.trim("film-start");
    $("film").hidden = false;
    await this.showFrame();
    say(t("film_hint"));
  }

  get length() {
    return Number.isFinite(this.before.duration) ? this.before.duration : 0;
  }

  get part() {
    return { start: Number($("film-start").value), end: Number($("film-end").value) };
  }

  close() {
    if (!this.address) return;
    this.watch(false);
    URL.revokeObjectURL(this.address);
    for (const video of [this.before, this.after]) {
      video.removeAttribute("src");
      video.load();
    }
    Object.assign(this, { address: null, file: null });
    this.forget();
    $("film").hidden = true;
  }

  forget() {
    if (this.made) URL.revokeObjectURL(this.made.address);
    this.made = null;
    $("film-watch").hidden = $("film-download").hidden = true;
  }

  // One end of the part has moved: the other keeps its distance, at most what is painted at a time.
  trim(moved) {
    let { start, end } = this.part;
    if (moved === "film-start") end = Math.min(Math.max(end, start + LEAST), start + this.limits.film_seconds);
    else start = Math.max(Math.min(start, end - LEAST), end - this.limits.film_seconds);
    $("film-start").value = Math.max(0, start);
    $("film-end").value = end;
    this.say();
  }

  say() {
    const { start, end } = this.part;
    const said = t("film_span", { from: clock(start), to: clock(end), seconds: (end - start).toFixed(1) });
    $("film-span").textContent = this.length > this.limits.film_seconds ? `${said}. ${t("film_long", { seconds: this.limits.film_seconds })}` : said;
    $("film-start").setAttribute("aria-valuetext", clock(start));
    $("film-end").setAttribute("aria-valuetext", clock(end));
  }

  // The frame at the beginning of the part, as the photo.
  async showFrame() {
    this.watch(false);
    const video = this.before;
    video.currentTime = this.part.start;
    if (video.seeking) await new Promise((done) => video.addEventListener("seeked", done, { once: true }));
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
    await this.on.frame(new File([blob], `${this.file.name.replace(ENDINGS, "")}.jpg`, { type: "image/jpeg" }));
  }

  // A film is painted where a photo could be, one at a time.
  allow() {
    $("film-paint").disabled = this.painting || $("download").disabled;
  }

  async paint() {
    const { start, end } = this.part;
    const kind = $("film-format").value;
    const { address } = this;
    const list = fields({ photo: this.file, format: kind }).map(([name, value]) => [name === "photo" ? "film" : name, value]);
    this.forget();
    this.painting = true;
    this.allow();
    const whole = end > this.length - LEAST && this.length <= this.limits.film_seconds; // a slider stops before the last frame
    const over = await this.on.painted([...list, ["start", start], ...(whole ? [] : [["end", end]])]);
    this.painting = false;
    this.allow();
    if (!over?.result || address !== this.address) return; // it was closed meanwhile
    const answer = await call(`/jobs/${over.id}/result`).catch(complain);
    if (!answer) return;
    const blob = await answer.blob();
    this.made = { address: URL.createObjectURL(blob), name: nameIn(answer), kind, begins: start };
    $("film-download").hidden = false;
    $("film-watch").hidden = kind === "gif";
    const { width, height, frames, seconds } = over.result;
    say(t("film_painted", { width, height, frames, seconds: seconds.toFixed(1) }));
    if (kind !== "gif") this.watch(true);
  }

  // The film and the painted film side by side; the controls are those of the painted one.
  watch(on) {
    $("watch").hidden = !on;
    $("film-watch").setAttribute("aria-pressed", String(on));
    this.on.watching(on);
    if (!on) this.after.pause();
    else if (this.after.src !== this.made.address) this.after.src = this.made.address;
  }

  follow() {
    const wanted = this.made.begins + this.after.currentTime;
    if (Math.abs(this.before.currentTime - wanted) > APART) this.before.currentTime = wanted;
    this.before.playbackRate = this.after.playbackRate;
    if (this.after.paused) this.before.pause();
    else this.before.play().catch(() => {}); // it has come to its own end
  }
}

function save({ address, name }) {
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
}
