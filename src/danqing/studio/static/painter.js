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
    this.jobs = []; // that are followed; the last one is shown
  }

  get job() {
    return this.jobs.at(-1);
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
    this.wanted = false;
    clearTimeout(this.timer);
    this.drop();
  }

  // The full painting that is being made is no longer wanted.
  drop() {
    this.whole?.abort();
    this.whole = null;
    for (const job of this.jobs) if (job.unasked) this.stop(job);
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

  // The full painting, in the format that is chosen; gives {blob, about, name}, or null where it was overtaken or failed.
  // Who asks for it while it is being made waits for the same.
  full() {
    clearTimeout(this.timer);
    const { format } = state;
    if (this.whole?.format !== format) {
      this.drop();
      const whole = (this.whole = Object.assign(new AbortController(), { format }));
      whole.made = this.painted(whole).finally(() => {
        if (this.whole === whole) this.whole = null;
      });
    }
    return this.whole.made;
  }

  async painted({ signal, format }) {
    const { number } = this;
    while (this.busy) await new Promise((done) => setTimeout(done, 30));
    if (signal.aborted) return null;
    this.on.working("painting");
    try {
      const answer = await post("/paint", fields({ format }), signal);
      if (answer.status === 202) return await this.followed({ ...(await answer.json()), unasked: true }, signal);
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
      return await this.followed(await answer.json());
    } catch (error) {
      this.on.failed(error);
      return null;
    }
  }

  // Follows a job, and shows what comes of it unless something has changed meanwhile.
  async followed(job, signal) {
    const { number } = this;
    const wanted = () => number === this.number && !signal?.aborted;
    if (job.unasked) this.jobs.unshift(job);
    else this.jobs.push(job);
    const then = { photo: state.photo, chosen: snapshot() };
    let shown = 0;
    let over;
    try {
      over = await follow(job.id, async (now) => {
        Object.assign(job, now);
        if (this.job === job) this.on.job(job);
        if (now.kind === "paint" && (now.pictures ?? 0) > shown && wanted()) {
          shown = now.pictures;
          const answer = await call(`/jobs/${job.id}/preview`).catch(() => null);
          if (answer && wanted() && this.jobs.includes(job)) this.on.preview(await answer.blob(), null);
        }
      });
    } finally {
      this.jobs = this.jobs.filter((other) => other !== job);
      this.on.job(this.job);
    }
    if (over.state === "failed") {
      this.on.failed(new Error(over.error.message));
      return null;
    }
    if (over.kind !== "paint" || !over.result) return over;
    const answer = await call(`/jobs/${job.id}/result`).catch(() => null);
    if (!answer) return null;
    const made = { blob: await answer.blob(), about: over.result, name: nameIn(answer), number, ordered: !job.unasked, ...then };
    if (wanted()) this.on.painting(made);
    else if (!job.unasked) this.on.aside(made);
    return made;
  }

  // Stops a job, by default the one that is shown.
  async stop(job = this.job) {
    if (job) await call(`/jobs/${job.id}/cancel`, { method: "POST" }).catch((error) => this.on.failed(error));
  }
}

export function nameIn(answer) {
  const found = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "");
  return found ? decodeURIComponent(found[1]) : "painting";
}
