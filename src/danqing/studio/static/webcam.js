// A camera as it is painted, and its keys: the paintings come from the server by themselves, the keys go to it.

import { language, speak, t } from "./words.js";

const EVERY = 500; // ms between two looks at how it stands
const KEYS = {
  n: "next", ArrowRight: "next", p: "previous", ArrowLeft: "previous",
  ArrowUp: "stronger", ArrowDown: "weaker", s: "snapshot", r: "record",
};

const status = document.getElementById("status");
const notice = document.getElementById("notice");

function show(told) {
  const fields = { style: told.style, strength: told.strength, rate: told.rate, size: told.size.join(" x ") };
  status.textContent = t("webcam_status", fields) + (told.recording ? ` ${t("webcam_recording", { name: told.recording })}` : "");
  document.querySelector('[data-do="record"]').setAttribute("aria-pressed", String(told.recording !== null));
  if (told.problem) say(told.problem);
}

function say(sentence) {
  notice.hidden = false;
  notice.textContent = sentence;
}

async function act(action) {
  const answer = await fetch(`/do/${action}`, { method: "POST", headers: { "X-Danqing": "webcam", "Accept-Language": language } });
  const told = await answer.json();
  if (!answer.ok) return say(told.error?.message ?? answer.statusText);
  show(told);
  if (told.written) say(t("webcam_written", { name: told.written }));
}

async function look() {
  try {
    const told = await (await fetch("/state")).json();
    show(told);
    if (told.ended) return;
  } catch {
    say(t("webcam_gone"));
    return;
  }
  setTimeout(look, EVERY);
}

await speak(language);
for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => act(button.dataset.do));
addEventListener("keydown", (event) => {
  const action = KEYS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  event.preventDefault();
  act(action);
});
look();
