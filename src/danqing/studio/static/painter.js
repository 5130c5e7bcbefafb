// From choices to pictures: a small preview at once, of which only the last one counts, then the full painting; and
// jobs, which are followed until they are over. It knows the service and the choices, not the page: it tells `on`.

import { call, follow, post } from "./api.js";
import { fields, snapshot, state } from "./state.js";

const SIDES = [224, 272, 328, 400, 480, 576, 704]; // px of a preview: few, since what is known of a photo is kept by its size
const LATE = 0.3; // seconds after which a preview should have been smaller
const EARLY = 0.18; // seconds before which it could have been larger
const REST = 650; // ms without a change after which the full painting is made

export class Painter {
  constructor(on) {
    this.on = on; // {preview(blob, about), painting(made), aside(made), working(what), failed(error), job(job)}
    this.rung = 3; // of SIDES
    this.wanted = false;
    this.number = 0;
  }

  // Something has changed: show it small as soon as can be, and whole when nothing changes any more.
  changed() {
    this.overtake();
    if (!state.photo || !state.layers.length) return;
    this.wanted = true;
    if (!this.busy) this.preview();
    this.timer = setTimeout(() => this.full(), REST);
  }

  // What is being made is no longer wanted.
  overtake() {
    this.number += 1;
    this.whole?.abort();
    this.wanted = false;
    clearTimeout(this.timer);
    if (this.job?.unasked) this.stop();
  }

  async preview() {
    this.busy = true;
    while (this.wanted) {
      this.wanted = false;
      const { number } = this;
      const began = performance.now();
      try {
        this.on.working("preview");
        const side = SIDES[this.rung];
        const size = Math.min(side, state.knobs.size);
        const answer = await post("/preview", fields({ size, format: "jpeg" }));
        const blob = await answer.blob();
        const seconds = (performance.now() - began) / 1000;
        if (number === this.number || this.wanted) this.on.preview(blob, { size: answer.headers.get("X-Danqing-Size"), seconds });
        this.fit(seconds, `${state.photo.id} ${side}`);
      } catch (error) {
        if (error.code !== "superseded" && !this.wanted) this.on.failed(error);
      }
    }
    this.busy = false;
  }

  // Takes another side where previews come too late or earlier than they need; the first of a photo and a side takes
  // longer than those that follow, and says nothing.
  fit(seconds, first) {
    const known = this.first === first;
    this.first = first;
    if (known && seconds > LATE) this.rung = Math.max(0, this.rung - 1);
    else if (known && seconds < EARLY) this.rung = Math.min(SIDES.length - 1, this.rung + 1);
  }

  // The full painting; gives {blob, about, name}, or null where it was overtaken or failed.
  async full({ format } = {}) {
    const number = this.number;
    clearTimeout(this.timer);
    while (this.busy) await new Promise((done) => setTimeout(done, 30));
    if (number !== this.number) return null;
    this.whole?.abort();
    const whole = (this.whole = new AbortController());
    this.on.working("painting");
    try {
      const answer = await post("/paint", fields({ format }), whole.signal);
      if (answer.status === 202) return await this.followed({ ...(await answer.json()), unasked: true }, number);
      const about = JSON.parse(decodeURIComponent(answer.headers.get("X-Danqing-About")));
      const made = { blob: await answer.blob(), about, name: nameIn(answer), number };
      this.on.painting(made);
      return made;
    } catch (error) {
      if (error.name !== "AbortError") this.on.failed(error);
      return null;
    }
  }

  // The optimisation engine, or a polishing: a job that is followed. Gives what comes of it.
  async ordered(path, list) {
    this.overtake();
    try {
      const answer = await post(path, list);
      return await this.followed(await answer.json(), this.number);
    } catch (error) {
      this.on.failed(error);
      return null;
    }
  }

  async followed(job, number) {
    this.job = job;
    const then = { photo: state.photo, chosen: snapshot() };
    let shown = 0;
    const over = await follow(job.id, async (now) => {
      this.on.job(now);
      if (now.kind === "paint" && (now.pictures ?? 0) > shown && number === this.number) {
        shown = now.pictures;
        const answer = await call(`/jobs/${job.id}/preview`).catch(() => null);
        if (answer && number === this.number && this.job === job) this.on.preview(await answer.blob(), null);
      }
    });
    this.job = null;
    this.on.job(over);
    if (over.state === "failed") {
      this.on.failed(new Error(over.error.message));
      return null;
    }
    if (over.kind !== "paint" || !over.result) return over;
    const answer = await call(`/jobs/${job.id}/result`).catch(() => null);
    if (!answer) return null;
    const made = { blob: await answer.blob(), about: over.result, name: nameIn(answer), number, ...then };
    if (number === this.number) this.on.painting(made);
    else if (!job.unasked) this.on.aside(made);
    return made;
  }

  async stop() {
    if (this.job) await call(`/jobs/${this.job.id}/cancel`, { method: "POST" }).catch((error) => this.on.failed(error));
  }
}

export function nameIn(answer) {
  const found = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "");
  return found ? decodeURIComponent(found[1]) : "painting";
}
