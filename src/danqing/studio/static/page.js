// What the page says: a line about what is being done, a complaint, a notice with buttons. It knows no picture.

import { t } from "./words.js";

const SECONDS = 7;

export const $ = (id) => document.getElementById(id);

export function say(text, working = false) {
  $("status").textContent = text;
  $("status").classList.toggle("working", working);
}

let alerting;
// Says what went wrong; pictures that the studio has forgotten are told to the page as `gone`.
export function complain(error) {
  say("");
  if (error.status === 401) location.reload();
  else if (error.code === "gone") document.dispatchEvent(new CustomEvent("gone"));
  else {
    const line = document.createElement("p");
    line.textContent = error.message || t("no_answer");
    $("alert").replaceChildren(line);
    clearTimeout(alerting);
    alerting = setTimeout(() => $("alert").replaceChildren(), 1000 * SECONDS);
  }
}

export function notice(text, actions = []) {
  const box = $("notice");
  box.hidden = !text;
  const line = document.createElement("span");
  line.textContent = text;
  const close = { said: t("close"), act: () => {} };
  box.replaceChildren(line, ...[...actions, close].map(({ said, act }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = said;
    button.addEventListener("click", () => {
      box.hidden = true;
      act();
    });
    return button;
  }));
}
