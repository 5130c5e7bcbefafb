// The page: it puts the parts together and holds what only a page knows: drops, pastes, keys, files, words.

import { get, sendPicture } from "./api.js";
import { Camera } from "./camera.js";
import { Gallery } from "./gallery.js";
import { landscape } from "./landscape.js";
import { Painter } from "./painter.js";
import { changed, COLOURS, fields, KNOBS, LEFT_ALONE, listen, MOST, newLayer, snapshot, state } from "./state.js";
import { emptyMask, maskFile, readMask } from "./view.js";
import { dress, label, language, speak, t } from "./words.js";

const $ = (id) => document.getElementById(id);
const MOST_HISTORY = 24;
const MASK_WAIT = 180;

const view = $("view");
const works = []; // {made, thumb, photo, chosen}
const paintings = new Map(); // sha256 -> {id, title, image}: what was dropped as a style during this visit
let about = { needs: "", limits: { edge: 8192 } };
let finished = null; // the full painting of what is chosen now
let brushing = null; // {region, title}

// ── saying ──

function say(text, working = false) {
  $("status").textContent = text;
  $("status").classList.toggle("working", working);
}

let alerting;
function complain(error) {
  say("");
  const line = document.createElement("p");
  line.textContent = error.message || t("no_answer");
  $("alert").replaceChildren(line);
  clearTimeout(alerting);
  alerting = setTimeout(() => $("alert").replaceChildren(), 7000);
  if (error.code === "gone" && state.photo) setPhoto(state.photo.file, { quiet: true });
  if (error.status === 401) location.reload();
}

function notice(text, actions = []) {
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

// ── painting ──

const painter = new Painter({
  working: (what) => say(t(`working_${what}`), true),
  preview: (blob, told) => {
    showBlob(blob);
    if (told) say(t("previewed", { size: told.size, seconds: told.seconds.toFixed(2) }));
  },
  painting: (made) => {
    finished = made;
    showBlob(made.blob);
    const { width, height, seconds, notes } = made.about;
    say([t("painted", { width, height, seconds: seconds.toFixed(1) }), ...(notes ?? [])].join(" · "));
    remember(made);
  },
  failed: complain,
  job: showJob,
});

function showBlob(blob) {
  const before = view.dataset.painting;
  const address = URL.createObjectURL(blob);
  view.dataset.painting = address;
  view.showPainting(address).then(() => before && !works.some((work) => work.address === before) && URL.revokeObjectURL(before));
}

function showJob(job) {
  const over = ["done", "failed", "cancelled"].includes(job.state);
  $("job").hidden = over;
  for (const id of ["best", "polish"]) $(id).hidden = !over;
  const { step = 0, steps = 0, remaining = 0 } = job.progress ?? {};
  $("job-progress").value = steps ? step / steps : 0;
  const minutes = remaining >= 90 ? t("minutes", { minutes: Math.round(remaining / 60) }) : t("seconds_left", { seconds: Math.max(1, Math.round(remaining)) });
  $("job-said").textContent = job.state === "queued" ? t("queued") : steps ? t("step", { step, steps, remaining: minutes }) : t("begins");
  if (!over) say(t(`working_${job.kind}`), true);
}

listen(() => {
  finished = null;
  drawLayers();
  gallery.mark(state.layers.map((layer) => layer.name));
  $("download").disabled = !state.photo || !state.layers.length;
  const learnt = state.layers.filter((layer) => layer.name && !layer.picture);
  $("best").disabled = $("download").disabled || Boolean(about.needs) || learnt.length > 0;
  $("best").title = learnt.length ? t("best_needs", { names: learnt.map((layer) => layer.title).join(", ") }) : "";
  $("polish").disabled = Boolean(about.needs) || !state.layers.some((layer) => layer.id);
  if (!camera.stream) painter.changed();
});

// ── the photo ──

async function setPhoto(file, { quiet = false } = {}) {
  say(t("reading"), true);
  let known;
  try {
    known = await sendPicture(file);
  } catch (error) {
    complain(error);
    return;
  }
  if (known.recipe && !quiet) offerRecipe(file, known);
  else await usePhoto(file, known);
}

async function usePhoto(file, known) {
  const address = URL.createObjectURL(file);
  const size = await shownSize(address, known);
  if (state.photo && state.photo.sha256 !== known.sha256) forgetRegions();
  state.photo = { ...known, ...size, file, address };
  stopBrushing();
  $("welcome").hidden = true;
  view.hidden = false;
  view.show(address, size.width, size.height);
  say("");
  changed();
  gallery.paint(known.id);
}

function shownSize(address, known) {
  return new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => resolve({ width: known.width, height: known.height }); // a format that this browser does not show
    image.src = address;
  });
}

function forgetRegions() {
  for (const region of [state.protect, ...state.layers.map((layer) => layer.region)]) Object.assign(region, { canvas: null, undo: [], redo: [], id: "" });
}

// ── styles ──

const ofGallery = (entry) => newLayer({ name: entry.name, picture: entry.picture, title: gallery.titleOf(entry), image: gallery.images.get(entry.name) ?? (entry.picture ? `/api/v1/styles/${encodeURIComponent(entry.name)}/picture?size=128` : "") });

function pick(entry) {
  stopBrushing();
  state.layers = [ofGallery(entry)];
  changed();
}

function add(layer) {
  if (state.layers.some((other) => (layer.name && other.name === layer.name) || (layer.id && other.id === layer.id))) return;
  if (state.layers.length >= MOST) {
    complain(new Error(t("most_styles", { limit: MOST })));
    return;
  }
  state.layers = [...state.layers, layer];
  changed();
}

async function addPainting(file) {
  say(t("reading"), true);
  try {
    if (file.name.endsWith(".style")) {
      const { post } = await import("./api.js");
      const { name } = await (await post("/styles", [["file", file]])).json();
      await gallery.load();
      pick(gallery.entries.find((entry) => entry.name === name));
      if (state.photo) gallery.paint(state.photo.id);
      return;
    }
    const known = await sendPicture(file);
    const layer = newLayer({ id: known.id, sha256: known.sha256, file, title: known.name.replace(/\.\w+$/, ""), image: URL.createObjectURL(file) });
    paintings.set(known.sha256, layer);
    say("");
    if (state.layers.length === 1 && state.layers[0].name && !state.layers[0].region.canvas) state.layers = [];
    add(layer);
  } catch (error) {
    complain(error);
  }
}

function drawLayers() {
  const several = state.layers.length > 1;
  const rows = state.layers.map((layer, at) => row({
    title: layer.title, image: layer.image, region: layer.region, colour: COLOURS[at], only: !several,
    weight: [layer.weight, (value) => { layer.weight = value; painter.changed(); finished = null; }],
    remove: () => {
      stopBrushing();
      state.layers = state.layers.filter((other) => other !== layer);
      changed();
    },
  }));
  if (state.layers.length && state.photo) rows.push(row({ title: t("leave_alone"), image: state.photo.address, region: state.protect, colour: LEFT_ALONE, only: true }));
  $("layers").replaceChildren(...rows);
  $("no-layers").hidden = state.layers.length > 0;
}

function row({ title, image, region, colour, only, weight, remove }) {
  const li = document.createElement("li");
  li.classList.toggle("only", only);
  const picture = document.createElement(image ? "img" : "div");
  if (image) Object.assign(picture, { src: image, alt: "" });
  else picture.className = "blank";
  const name = document.createElement("span");
  name.className = "title";
  name.textContent = name.title = title;
  const where = document.createElement("button");
  where.type = "button";
  where.className = "where";
  where.textContent = region.id ? t("region") : weight ? t("everywhere") : t("nowhere");
  where.dataset.drawn = String(Boolean(region.id));
  where.setAttribute("aria-pressed", String(brushing?.region === region));
  label(where, t("paint_region", { name: title }));
  where.addEventListener("click", () => (brushing?.region === region ? stopBrushing() : startBrushing(region, title, colour)));
  li.append(picture, name, where);
  if (remove) {
    const off = document.createElement("button");
    off.type = "button";
    off.className = "plain";
    off.textContent = "×";
    label(off, t("remove_layer", { name: title }));
    off.addEventListener("click", remove);
    li.append(off);
  } else li.append(document.createElement("span"));
  if (weight && !only) {
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0.05, max: 2, step: 0.05, value: weight[0], className: "weight" });
    slider.setAttribute("aria-label", t("weight_of", { name: title }));
    slider.addEventListener("input", () => weight[1](Number(slider.value)));
    li.append(slider);
  }
  return li;
}

// ── regions ──

function startBrushing(region, title, colour) {
  if (!state.photo) return;
  brushing = { region, title };
  $("tools").hidden = false;
  $("tools-name").textContent = title;
  region.canvas ??= emptyMask(state.photo);
  view.paintMask(region, colour);
  say(t("brush_hint"));
  drawLayers();
}

function stopBrushing() {
  if (!brushing) return;
  brushing = null;
  $("tools").hidden = true;
  view.paintMask(null);
  drawLayers();
}

let masking;
view.addEventListener("mask", ({ detail: region }) => {
  clearTimeout(masking);
  masking = setTimeout(() => sendMask(region), MASK_WAIT);
  $("undo").disabled = !region.undo.length;
  $("redo").disabled = !region.redo.length;
});

async function sendMask(region) {
  try {
    const file = await maskFile(region.canvas);
    region.id = file ? (await sendPicture(file)).id : "";
    changed();
  } catch (error) {
    complain(error);
  }
}

function setBrush(name, value) {
  view.brush[name] = value;
  view.moveCursor();
}

// ── recipes and history ──

function offerRecipe(file, known) {
  say("");
  notice(t("has_recipe", { name: known.name }), [
    { said: t("restore"), act: () => restore(known.recipe) },
    { said: t("as_photo"), act: () => usePhoto(file, known) },
  ]);
}

function restore(recipe) {
  const missing = [];
  const layers = [];
  for (const style of recipe.styles ?? []) {
    const entry = gallery.entries.find((one) => one.name === style.name);
    const painting = style.sha256 ? paintings.get(style.sha256) : null;
    if (painting) layers.push({ ...painting, weight: style.weight ?? 1, region: newLayer({}).region });
    else if (!style.sha256 && entry) layers.push({ ...ofGallery(entry), weight: style.weight ?? 1 });
    else missing.push(style.name);
  }
  stopBrushing();
  forgetRegions();
  state.layers = layers.slice(0, MOST);
  for (const name of Object.keys(KNOBS)) state.knobs[name] = recipe[name] ?? KNOBS[name];
  showKnobs();
  changed();
  const photo = recipe.content && recipe.content.sha256 !== state.photo?.sha256 ? recipe.content.name : "";
  const masks = (recipe.styles ?? []).some((style) => style.mask) || recipe.protect;
  const lines = [missing.length && t("missing_paintings", { names: missing.join(", ") }), photo && t("missing_photo", { name: photo }), masks && t("missing_masks")];
  notice(lines.filter(Boolean).join(" ") || t("restored"));
}

async function remember(made) {
  const thumb = await smaller(made.blob);
  const address = view.dataset.painting;
  works.unshift({ made, thumb, photo: state.photo, chosen: snapshot(), address });
  for (const old of works.splice(MOST_HISTORY)) URL.revokeObjectURL(old.address);
  drawHistory();
}

async function smaller(blob) {
  const bitmap = await createImageBitmap(blob, { resizeWidth: 160, resizeQuality: "medium" }).catch(() => null);
  if (!bitmap) return "";
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.toDataURL("image/jpeg", 0.85);
}

function drawHistory() {
  $("history-section").hidden = !works.length;
  $("history").replaceChildren(...works.map((work) => {
    const li = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const said = work.chosen.layers.map((layer) => layer.title).join(" + ");
    label(button, t("back_to", { name: said }));
    const image = document.createElement("img");
    Object.assign(image, { src: work.thumb, alt: "" });
    button.append(image);
    button.addEventListener("click", () => backTo(work));
    li.append(button);
    return li;
  }));
}

async function backTo(work) {
  stopBrushing();
  const other = state.photo?.id !== work.photo.id;
  Object.assign(state, { photo: work.photo, layers: work.chosen.layers.map((layer) => ({ ...layer })), protect: { ...work.chosen.protect }, knobs: { ...work.chosen.knobs } });
  if (other) {
    view.show(work.photo.address, work.photo.width, work.photo.height);
    gallery.paint(work.photo.id);
  }
  showKnobs();
  drawLayers();
  gallery.mark(state.layers.map((layer) => layer.name));
  painter.number += 1;
  finished = work.made;
  showBlob(work.made.blob);
  say("");
}

// ── knobs ──

const PERCENT = (value) => `${Math.round(100 * value)} %`;

function showKnobs() {
  const { knobs } = state;
  $("strength").value = knobs.strength;
  $("brush").value = knobs.brush;
  $("style_scale").value = Math.log2(knobs.style_scale);
  $("keep_color").value = knobs.keep_color ?? "";
  $("size").value = knobs.size;
  $("enlarge").checked = knobs.enlarge;
  sayKnobs();
}

function sayKnobs() {
  const { knobs } = state;
  const said = { strength: PERCENT(knobs.strength), brush: PERCENT(knobs.brush), style_scale: `× ${knobs.style_scale.toFixed(2)}` };
  for (const [name, value] of Object.entries(said)) {
    document.querySelector(`output[for="${name}"]`).textContent = value;
    $(name).setAttribute("aria-valuetext", value);
  }
}

function turn(name, value) {
  state.knobs[name] = value;
  sayKnobs();
  finished = null;
  painter.changed();
}

for (const name of ["strength", "brush"]) $(name).addEventListener("input", () => turn(name, Number($(name).value)));
$("style_scale").addEventListener("input", () => turn("style_scale", Number((2 ** $("style_scale").value).toFixed(3))));
$("keep_color").addEventListener("change", () => turn("keep_color", $("keep_color").value));
$("enlarge").addEventListener("change", () => turn("enlarge", $("enlarge").checked));
$("size").addEventListener("change", () => {
  const size = Math.min(about.limits.edge, Math.max(16, Math.round(Number($("size").value)) || KNOBS.size));
  $("size").value = size;
  turn("size", size);
});
$("format").addEventListener("change", () => {
  state.format = $("format").value;
  finished = null;
});

// ── what buttons do ──

const ways = {
  pick: () => chooseFile((file) => setPhoto(file)),
  painting: () => chooseFile(addPainting, ".style"),
  camera: () => camera.open(),
  sample: async () => usePhotoOf(await landscape()),
};
const usePhotoOf = (file) => setPhoto(file, { quiet: true });

for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => ways[button.dataset.do]());

function chooseFile(then, more = "") {
  const input = $("file");
  input.accept = `image/*,.heic,.heif,.avif${more && `,${more}`}`;
  input.onchange = () => {
    if (input.files[0]) then(input.files[0]);
    input.value = "";
  };
  input.click();
}

$("download").addEventListener("click", async () => {
  const made = finished ?? (await painter.full({ format: state.format }));
  if (!made) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(made.blob);
  link.download = made.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

$("best").addEventListener("click", () => painter.ordered("/paint", fields({ extra: [["engine", "optimize"], ["job", "1"]] })));
$("job-stop").addEventListener("click", () => painter.stop());

$("polish").addEventListener("click", () => {
  const painting = state.layers.find((layer) => layer.id);
  $("polish-name").value = painting.title.replace(/[^\p{L}\p{N}_.-]+/gu, "-").replace(/^[-.]+/, "") || "style";
  $("polish-dialog").showModal();
});
$("polish-dialog").addEventListener("close", async () => {
  if ($("polish-dialog").returnValue !== "yes") return;
  const painting = state.layers.find((layer) => layer.id);
  const name = $("polish-name").value;
  const over = await painter.ordered("/styles", [["file", painting.id], ["name", name], ["seconds", $("polish-seconds").value]]);
  if (!over?.result) return;
  await gallery.load();
  if (state.photo) gallery.paint(state.photo.id);
  pick(gallery.entries.find((entry) => entry.name === name));
  say(t("polished", { name }));
});

$("brush-size").addEventListener("input", () => setBrush("size", Number($("brush-size").value)));
$("brush-soft").addEventListener("input", () => setBrush("soft", Number($("brush-soft").value)));
$("eraser").addEventListener("click", toggleEraser);
$("undo").addEventListener("click", () => view.undo());
$("redo").addEventListener("click", () => view.redo());
$("clear").addEventListener("click", () => view.change((context, canvas) => context.clearRect(0, 0, canvas.width, canvas.height)));
$("invert").addEventListener("click", () => view.change((context, canvas) => {
  context.globalCompositeOperation = "source-out";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-over";
}));
$("mask-file").addEventListener("click", () => chooseFile(takeMask));
$("tools-done").addEventListener("click", stopBrushing);

async function takeMask(file) {
  view.remember();
  await readMask(file, brushing.region.canvas).catch(() => complain(new Error(t("no_mask"))));
  view.painted();
}

function toggleEraser() {
  view.brush.eraser = !view.brush.eraser;
  $("eraser").setAttribute("aria-pressed", String(view.brush.eraser));
}

// ── keys, drops, pastes ──

document.addEventListener("keydown", (event) => {
  const writing = event.target.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
  if (event.key === "Escape" && brushing) stopBrushing();
  if (writing || event.altKey) return;
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z" && brushing) {
    event.preventDefault();
    if (event.shiftKey) view.redo();
    else view.undo();
  } else if (command && event.key.toLowerCase() === "y" && brushing) {
    event.preventDefault();
    view.redo();
  } else if (command && event.key.toLowerCase() === "s" && !$("download").disabled) {
    event.preventDefault();
    $("download").click();
  } else if (!command && brushing && (event.key === "[" || event.key === "]")) {
    const size = Math.min(0.4, Math.max(0.01, view.brush.size * (event.key === "]" ? 1.15 : 1 / 1.15)));
    $("brush-size").value = size;
    setBrush("size", size);
  } else if (!command && brushing && event.key.toLowerCase() === "e") toggleEraser();
  else if (!command && event.key.toLowerCase() === "o") ways.pick();
});

const curtain = $("dropping");
let dragging = 0;
addEventListener("dragenter", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  dragging += 1;
  curtain.classList.toggle("shown", Boolean(state.photo) && !brushing);
});
addEventListener("dragleave", () => {
  dragging -= 1;
  if (dragging <= 0) curtain.classList.remove("shown");
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  for (const half of curtain.children) half.classList.toggle("over", half.contains(event.target));
});
addEventListener("drop", (event) => {
  event.preventDefault();
  dragging = 0;
  const style = curtain.lastElementChild.contains(event.target) || $("gallery-section").contains(event.target) || $("panel").contains(event.target);
  curtain.classList.remove("shown");
  const [file] = event.dataTransfer.files;
  if (!file) return;
  if (brushing) takeMask(file);
  else if (style || file.name.endsWith(".style")) addPainting(file);
  else setPhoto(file);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) setPhoto(file);
});

// ── parts ──

const gallery = new Gallery($("gallery"), $("search"), {
  pick,
  add: (entry) => add(ofGallery(entry)),
  failed: complain,
  thumbnail: (name, image) => {
    const layer = state.layers.find((one) => one.name === name);
    if (!layer) return;
    layer.image = image;
    drawLayers();
  },
  removed: (name) => {
    state.layers = state.layers.filter((layer) => layer.name !== name);
    changed();
  },
});

const camera = new Camera(
  { box: $("live"), video: $("video"), canvas: $("live-canvas"), shoot: $("shoot"), live: $("live-paint"), end: $("live-end"), rate: $("rate") },
  {
    opened: () => {
      stopBrushing();
      $("welcome").hidden = view.hidden = true;
      camera.setLive(state.layers.length > 0);
    },
    closed: () => {
      $("welcome").hidden = Boolean(state.photo);
      view.hidden = !state.photo;
      painter.changed();
    },
    photo: usePhotoOf,
    failed: complain,
  },
);

// ── words and light ──

$("language").addEventListener("click", async () => {
  await speak(language === "zh" ? "en" : "zh");
  about = await get("/about");
  told();
});

function told() {
  $("language").textContent = language === "zh" ? "English" : "中文";
  $("language").lang = language === "zh" ? "en" : "zh";
  $("needs").hidden = !about.needs;
  $("needs").textContent = about.needs;
  for (const name of ["strength", "brush", "style_scale"]) $(name).title = about.knobs[name].help;
  for (const layer of state.layers) {
    const entry = gallery.entries.find((one) => one.name === layer.name);
    if (entry) layer.title = gallery.titleOf(entry);
  }
  gallery.draw();
  drawLayers();
  drawHistory();
  view.say?.();
  say("");
}

const THEME = "danqing-theme";
const light = matchMedia("(prefers-color-scheme: dark)");
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
setTheme(localStorage.getItem(THEME));
$("theme").addEventListener("click", () => {
  const dark = (document.documentElement.dataset.theme ?? (light.matches ? "dark" : "light")) === "dark";
  localStorage.setItem(THEME, dark ? "light" : "dark");
  setTheme(dark ? "light" : "dark");
});

// ── begin ──

async function begin() {
  await speak(language);
  about = await get("/about");
  $("size").max = about.limits.edge;
  await gallery.load();
  showKnobs();
  told();
  $("download").disabled = $("best").disabled = $("polish").disabled = true;
  document.body.dataset.ready = "true";
  const sample = await sendPicture(await landscape());
  if (!state.photo) gallery.paint(sample.id);
}

dress(document);
begin().catch(complain);
