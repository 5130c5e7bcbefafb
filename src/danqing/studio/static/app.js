// The page: it puts the parts together and holds what only a page knows: drops, pastes, keys, files, words.

import { get, isOver, post, sendPicture } from "./api.js";
import { Camera } from "./camera.js";
import { Films, isFilm } from "./films.js";
import { Gallery } from "./gallery.js";
import { landscape } from "./landscape.js";
import { $, complain, notice, say } from "./page.js";
import { Painter } from "./painter.js";
import { Past } from "./past.js";
import { Regions } from "./regions.js";
import { changed, COLOURS, emptyRegion, fields, KNOBS, LEFT_ALONE, listen, MOST, newLayer, snapshot, state } from "./state.js";
import "./view.js";
import { dress, label, language, speak, t } from "./words.js";

const PICTURES = "image/*,.heic,.heif,.avif";
const FILMS = "video/*,.mkv";

const view = $("view");
const paintings = new Map(); // sha256 -> layer: what was dropped as a style during this visit
let about = { needs: "", limits: { edge: 8192 } };
let finished = null; // the full painting of what is chosen now

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
    past.add(made);
  },
  aside: (made) => past.add(made),
  failed: complain,
  job: showJob,
});

async function showBlob(blob) {
  const before = view.dataset.painting;
  const address = (view.dataset.painting = URL.createObjectURL(blob));
  await view.showPainting(address);
  if (before) URL.revokeObjectURL(before);
}

// Shows how far a job is; none is under way where there is none, or it is over.
function showJob(job) {
  const over = !job || isOver(job);
  $("job").hidden = over;
  for (const id of ["best", "polish"]) $(id).hidden = !over;
  if (over) return;
  const { step = 0, steps = 0, remaining = 0, rate } = job.progress ?? {};
  $("job-progress").value = steps ? step / steps : 0;
  const left = remaining >= 90 ? t("minutes", { minutes: Math.round(remaining / 60) }) : t("seconds_left", { seconds: Math.max(1, Math.round(remaining)) });
  const far = t(job.kind === "film" ? "film_step" : "step", { step, steps, rate, remaining: left });
  $("job-said").textContent = job.state === "queued" ? t("queued") : steps ? far : t("begins");
  say(t(`working_${job.kind}`), true);
}

listen(() => {
  finished = null;
  drawLayers();
  gallery.mark(state.layers.map((layer) => layer.name));
  $("download").disabled = !state.photo || !state.layers.length;
  films.allow();
  const learnt = state.layers.filter((layer) => layer.name && !layer.picture);
  $("best").disabled = $("download").disabled || Boolean(about.needs) || learnt.length > 0;
  $("best").title = learnt.length ? t("best_needs", { names: learnt.map((layer) => layer.title).join(", ") }) : "";
  $("polish").disabled = Boolean(about.needs) || !state.layers.some((layer) => layer.id);
  if (!camera.stream) painter.changed();
});

// ── the photo, or a film ──

// Whatever a person brings to be painted.
function take(file) {
  if (isFilm(file)) openFilm(file);
  else setPhoto(file);
}

async function openFilm(file) {
  if (about.film_needs) complain(new Error(about.film_needs));
  else if (file.size > about.limits.film) complain(new Error(t("film_large", { megabytes: about.limits.film / 1e6 })));
  else await films.open(file, about.limits).catch(complain);
}

async function setPhoto(file, { quiet = false, ofFilm = false } = {}) {
  if (!ofFilm) films.close();
  say(t("reading"), true);
  try {
    const known = await sendPicture(file);
    if (known.recipe && !quiet) offerRecipe(file, known);
    else await usePhoto(file, known, ofFilm);
  } catch (error) {
    complain(error);
  }
}

async function usePhoto(file, known, ofFilm = false) {
  const address = URL.createObjectURL(file);
  const size = await shownSize(address, known);
  if (state.photo && state.photo.sha256 !== known.sha256 && !ofFilm) forgetRegions();
  state.photo = { ...known, ...size, file, address };
  regions.stop();
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

const regionsOf = () => [state.protect, ...state.layers.map((layer) => layer.region)];

function forgetRegions() {
  for (const region of regionsOf()) Object.assign(region, emptyRegion());
}

// The studio keeps pictures for a while only: what is chosen is sent again.
document.addEventListener("gone", async () => {
  try {
    if (state.photo) state.photo.id = (await sendPicture(state.photo.file)).id;
    for (const layer of state.layers) if (layer.file) layer.id = (await sendPicture(layer.file)).id;
    for (const region of regionsOf()) if (region.id) await regions.send(region);
    changed();
  } catch (error) {
    complain(error);
  }
});

// ── styles ──

const ofGallery = (entry) => newLayer({ name: entry.name, picture: entry.picture, title: gallery.titleOf(entry), image: gallery.imageOf(entry, 128) });

function pick(entry) {
  regions.stop();
  state.layers = [ofGallery(entry)];
  changed();
}

function add(layer) {
  if (state.layers.some((other) => (layer.name && other.name === layer.name) || (layer.sha256 && other.sha256 === layer.sha256))) return;
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
      const { name } = await (await post("/styles", [["file", file]])).json();
      await newStyle(name);
      return;
    }
    const known = await sendPicture(file);
    const layer = newLayer({ id: known.id, sha256: known.sha256, file, title: known.name.replace(/\.\w+$/, ""), image: URL.createObjectURL(file) });
    paintings.set(known.sha256, layer);
    say("");
    if (state.layers.length === 1 && state.layers[0].name && !state.layers[0].region.id) state.layers = [];
    add(layer);
  } catch (error) {
    complain(error);
  }
}

// A style has come into the gallery: it is taken at once.
async function newStyle(name) {
  await gallery.load();
  pick(gallery.entries.find((entry) => entry.name === name));
  if (state.photo) gallery.paint(state.photo.id);
}

function drawLayers() {
  const several = state.layers.length > 1;
  const rows = state.layers.map((layer, at) => row({
    title: layer.title, image: layer.image, region: layer.region, colour: COLOURS[at], only: !several,
    weight: [layer.weight, (value) => { layer.weight = value; painter.changed(); finished = null; }],
    remove: () => {
      regions.stop();
      state.layers = state.layers.filter((other) => other !== layer);
      changed();
    },
  }));
  if (state.layers.length && state.photo) rows.push(row({ title: t("leave_alone"), image: state.photo.address, region: state.protect, colour: LEFT_ALONE, only: true }));
  keepingFocus($("layers"), () => $("layers").replaceChildren(...rows));
  $("no-layers").hidden = state.layers.length > 0;
}

// Draws a list anew; whatever had the focus in it has it again.
function keepingFocus(list, draw) {
  const place = [...list.querySelectorAll("button, input")].indexOf(document.activeElement);
  draw();
  if (place < 0) return;
  const now = list.querySelectorAll("button, input");
  (now[Math.min(place, now.length - 1)] ?? $("gallery")).focus();
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
  li.append(picture, name, whereButton({ title, region, colour, usual: weight ? "everywhere" : "nowhere" }));
  if (remove) {
    const off = document.createElement("button");
    off.type = "button";
    off.className = "plain";
    off.textContent = "×";
    label(off, t("remove_layer", { name: title }));
    off.addEventListener("click", remove);
    li.append(off);
  }
  if (weight && !only) {
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0.05, max: 2, step: 0.05, value: weight[0], className: "weight" });
    slider.setAttribute("aria-label", t("weight_of", { name: title }));
    slider.addEventListener("input", () => weight[1](Number(slider.value)));
    li.append(slider);
  }
  return li;
}

function whereButton({ title, region, colour, usual }) {
  const where = document.createElement("button");
  const now = regions.now === region;
  where.type = "button";
  where.className = "where";
  where.textContent = t(region.id ? "region" : usual);
  where.dataset.drawn = String(Boolean(region.id));
  where.setAttribute("aria-pressed", String(now));
  label(where, t("paint_region", { name: title }));
  where.addEventListener("click", () => (now ? regions.stop() : regions.start(region, title, colour)));
  return where;
}

// ── recipes and what was painted before ──

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
    if (painting) layers.push({ ...painting, weight: style.weight ?? 1, region: emptyRegion() });
    else if (!style.sha256 && entry) layers.push({ ...ofGallery(entry), weight: style.weight ?? 1 });
    else missing.push(style.name);
  }
  regions.stop();
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

const past = new Past((work) => {
  regions.stop();
  const other = state.photo?.id !== work.photo.id;
  if (other) films.close();
  Object.assign(state, { photo: work.photo, ...snapshot(work.chosen) });
  if (other) {
    view.show(work.photo.address, work.photo.width, work.photo.height);
    gallery.paint(work.photo.id);
  }
  showKnobs();
  drawLayers();
  gallery.mark(state.layers.map((layer) => layer.name));
  painter.overtake();
  finished = Object.assign(work.made, { number: painter.number }); // in another format it takes its own place
  showBlob(work.made.blob);
  say("");
});

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
});

// ── what buttons do ──

const ways = {
  pick: () => chooseFile(take, FILMS),
  painting: () => chooseFile(addPainting, ".style"),
  camera: () => camera.open(),
  sample: async () => setPhoto(await landscape()),
};

for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => ways[button.dataset.do]());

function chooseFile(then, more = "") {
  const input = $("file");
  input.accept = [PICTURES, more].filter(Boolean).join();
  input.onchange = () => {
    if (input.files[0]) then(input.files[0]);
    input.value = "";
  };
  input.click();
}

$("download").addEventListener("click", async () => {
  const fits = finished?.ordered || finished?.blob.type === `image/${state.format}`; // what took long is taken as it is
  const made = fits ? finished : await painter.full();
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
  await newStyle(name);
  say(t("polished", { name }));
});

// ── keys, drops, pastes ──

document.addEventListener("keydown", (event) => {
  const writing = event.target.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
  if (event.key === "Escape") regions.stop();
  if (writing || event.altKey) return;
  const command = event.ctrlKey || event.metaKey;
  const letter = event.key.toLowerCase();
  if (regions.now && regions.key(event, command)) event.preventDefault();
  else if (command && letter === "s" && !$("download").disabled) {
    event.preventDefault();
    $("download").click();
  } else if (!command && letter === "o") ways.pick();
});

const curtain = $("dropping");
let dragging = 0;
addEventListener("dragenter", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  dragging += 1;
  curtain.classList.toggle("shown", Boolean(state.photo) && !regions.now);
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
  if (regions.now) regions.take(file);
  else if (!isFilm(file) && (style || file.name.endsWith(".style"))) addPainting(file);
  else take(file);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) take(file);
});

// ── parts ──

const regions = new Regions(view, { turned: drawLayers, choose: chooseFile });

const films = new Films({
  opened: () => {
    regions.stop();
    forgetRegions();
  },
  frame: (file) => setPhoto(file, { quiet: true, ofFilm: true }),
  painted: (list) => painter.ordered("/films", list),
  watching: (on) => {
    view.hidden = on || !state.photo;
  },
});

const gallery = new Gallery($("gallery"), $("search"), {
  pick,
  add: (entry) => add(ofGallery(entry)),
  failed: complain,
  thumbnail: (name, image) => {
    const at = state.layers.findIndex((layer) => layer.name === name);
    if (at < 0) return;
    state.layers[at].image = image;
    const shown = $("layers").children[at].querySelector("img");
    if (shown) shown.src = image;
    else drawLayers();
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
      regions.stop();
      films.close();
      $("welcome").hidden = view.hidden = true;
      camera.setLive(state.layers.length > 0);
    },
    closed: () => {
      $("welcome").hidden = Boolean(state.photo);
      view.hidden = !state.photo;
      painter.changed();
    },
    photo: setPhoto,
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
  past.draw();
  view.say();
  say("");
}

const THEME = "danqing-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}
setTheme(localStorage.getItem(THEME));
$("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  localStorage.setItem(THEME, next);
  setTheme(next);
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
