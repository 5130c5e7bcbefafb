// The page for programs: the examples with this studio's own address in them, and every route from openapi.json.

import { dress, language, speak, t } from "./words.js";

const NAMES = { sh: "curl", py: "Python", js: "JavaScript" };

function element(name, text, parts = []) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...parts);
  return made;
}

async function examples() {
  for (const [ending, name] of Object.entries(NAMES)) {
    const code = await (await fetch(`/static/examples/paint.${ending}.txt`)).text();
    const filled = code.replaceAll("http://127.0.0.1:8765", location.origin);
    document.getElementById("examples").append(element("h2", name), element("pre", filled));
  }
}

function fieldsOf(operation) {
  const schema = operation.requestBody?.content?.["multipart/form-data"]?.schema;
  if (!schema) return [];
  const rows = Object.entries(schema.properties).map(([name, field]) =>
    element("tr", "", [element("td", "", [element("code", name)]), element("td", field.description ?? ""), element("td", rangeOf(field))]));
  const head = element("tr", "", [element("th", t("docs_field")), element("th", t("docs_meaning")), element("th", "")]);
  return [element("table", "", [head, ...rows])];
}

function rangeOf(field) {
  const one = field.anyOf?.[0] ?? field;
  const range = one.minimum !== undefined && one.maximum !== undefined ? `${one.minimum}..${one.maximum}` : "";
  const choices = (one.enum ?? []).join(", ");
  return [range || choices, field.default !== undefined && typeof field.default !== "object" ? `= ${field.default}` : ""].filter(Boolean).join(" ");
}

async function routes() {
  const answer = await fetch("/openapi.json", { headers: { "Accept-Language": language } });
  const document_ = await answer.json();
  const box = document.getElementById("routes");
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      box.append(element("h3", `${method.toUpperCase()} ${path}`), element("p", operation.description ?? ""), ...fieldsOf(operation));
    }
  }
}

await speak(language);
dress(document);
await examples();
await routes();
