// The sentences of the page, from the catalogue of the server: `t(key)` says one, `dress` puts them into the page.

const KEPT = "danqing-language";
let words = {};
export let language = localStorage.getItem(KEPT) ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

export async function speak(wanted) {
  language = wanted;
  localStorage.setItem(KEPT, wanted);
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : "en";
  const answer = await fetch(`/api/v1/messages/${wanted}`);
  words = await answer.json();
  dress(document);
}

export function t(key, fields = {}) {
  const said = words[key] ?? key;
  return said.replace(/\{(\w+)\}/g, (whole, name) => fields[name] ?? whole);
}

export function dress(root) {
  for (const one of root.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const one of root.querySelectorAll("[data-label]")) label(one, t(one.dataset.label));
  for (const one of root.querySelectorAll("[data-region]")) one.setAttribute("aria-label", t(`region_${one.dataset.region}`));
  for (const one of root.querySelectorAll("[data-placeholder]")) one.placeholder = t(one.dataset.placeholder);
}

export function label(element, said) {
  element.setAttribute("aria-label", said);
  element.title = said;
}
