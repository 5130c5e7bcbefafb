// The service as the page sees it. Every call goes to this origin; a refusal becomes a `Refusal` with its sentence.

import { language } from "./words.js";

const VISIT = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export async function call(path, { method = "GET", form, signal } = {}) {
  const answer = await fetch(`/api/v1${path}`, {
    method,
    body: form,
    signal,
    headers: { "X-Danqing": VISIT, "Accept-Language": language },
  });
  if (answer.ok) return answer;
  let told = {};
  try {
    told = (await answer.json()).error ?? {};
  } catch {
    told = {};
  }
  throw new Refusal(answer.status, told.code ?? "failed", told.message ?? answer.statusText);
}

export const get = async (path) => (await call(path)).json();

export function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of fields) {
    if (value instanceof Blob) form.append(name, value, value.name ?? "picture");
    else if (value !== undefined && value !== null) form.append(name, value);
  }
  return form;
}

export const post = (path, fields, signal) => call(path, { method: "POST", form: formOf(fields), signal });

// Sends a picture and gives what is known of it: id, size, and the recipe inside it.
export async function sendPicture(file, signal) {
  return (await post("/pictures", [["picture", file]], signal)).json();
}

// Calls `each` with {style, image} for every thumbnail as it comes.
export async function thumbnails(photo, styles, each, signal) {
  const answer = await post("/thumbnails", [["photo", photo], ...styles.map((name) => ["style", name])], signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) each(JSON.parse(line));
  }
}

export const isOver = (job) => ["done", "failed", "cancelled"].includes(job.state);

// Follows a job until it is over; `each` is called with it whenever something has changed. Gives the last of it.
export function follow(id, each) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`/api/v1/jobs/${id}/events`);
    source.addEventListener("job", (event) => {
      const job = JSON.parse(event.data);
      each(job);
      if (isOver(job)) {
        source.close();
        resolve(job);
      }
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) reject(new Refusal(0, "failed", ""));
    });
  });
}
