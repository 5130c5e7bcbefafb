// The gallery: every style as a small painting of the photo at hand. A click takes a style, the plus adds it to others.

import { call, get, thumbnails } from "./api.js";
import { label, language, t } from "./words.js";

export class Gallery {
  constructor(list, search, on) {
    this.list = list;
    this.search = search;
    this.on = on; // {pick(entry), add(entry), removed(), failed(error)}
    this.entries = [];
    this.images = new Map();
    search.addEventListener("input", () => this.filter());
    list.addEventListener("keydown", (event) => this.key(event));
  }

  async load() {
    this.entries = (await get("/styles")).filter((entry) => entry.ready || entry.picture);
    this.draw();
  }

  // Its small painting, or else the picture it is learnt from, where there is one.
  imageOf(entry, size) {
    return this.images.get(entry.name) ?? (entry.picture ? `/api/v1/styles/${encodeURIComponent(entry.name)}/picture?size=${size}` : "");
  }

  titleOf(entry) {
    return (language === "zh" && entry.title_zh) || entry.title || entry.name;
  }

  draw() {
    this.list.replaceChildren(...this.entries.map((entry) => this.item(entry)));
    this.filter();
    this.mark(this.chosen ?? []);
  }

  item(entry) {
    const li = document.createElement("li");
    li.dataset.name = entry.name;
    const pick = document.createElement("button");
    pick.type = "button";
    pick.className = "pick";
    const title = this.titleOf(entry);
    pick.title = [title, entry.artist, entry.date].filter(Boolean).join(", ");
    pick.setAttribute("aria-pressed", "false");
    const image = document.createElement("img");
    image.alt = "";
    image.src = this.imageOf(entry, 256);
    image.hidden = !image.getAttribute("src");
    const blank = document.createElement("div");
    blank.className = "blank";
    blank.hidden = !image.hidden;
    const name = document.createElement("span");
    name.textContent = title;
    pick.append(image, blank, name);
    pick.addEventListener("click", (event) => (event.ctrlKey || event.metaKey || event.shiftKey ? this.on.add(entry) : this.on.pick(entry)));
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.textContent = "+";
    label(more, t("add_style", { name: title }));
    more.addEventListener("click", () => this.on.add(entry));
    li.append(pick, more);
    if (entry.own) li.append(this.removeButton(entry, title));
    return li;
  }

  removeButton(entry, title) {
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "more remove";
    remove.textContent = "×";
    label(remove, t("remove_style", { name: title }));
    remove.addEventListener("click", async () => {
      if (!confirm(t("remove_sure", { name: title }))) return;
      try {
        await call(`/styles/${encodeURIComponent(entry.name)}`, { method: "DELETE" });
        await this.load();
        this.on.removed(entry.name);
      } catch (error) {
        this.on.failed(error);
      }
    });
    return remove;
  }

  // Paints the photo small in every style; a later photo takes the place of an earlier.
  async paint(photo) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.images.clear();
    try {
      await thumbnails(photo, this.nearestFirst(), ({ style, image }) => {
        if (!running.signal.aborted) this.put(style, image);
      }, running.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.on.failed(error);
    }
  }

  // The styles that can be seen now come first.
  nearestFirst() {
    const middle = this.list.scrollLeft + this.list.clientWidth / 2;
    const far = (name) => {
      const li = this.list.querySelector(`li[data-name="${CSS.escape(name)}"]`);
      return Math.max(0, Math.abs(li.offsetLeft + li.offsetWidth / 2 - middle) - this.list.clientWidth / 2);
    };
    const names = this.entries.filter((entry) => entry.ready).map((entry) => entry.name);
    const distance = new Map(names.map((name) => [name, far(name)]));
    return names.sort((a, b) => distance.get(a) - distance.get(b));
  }

  put(name, image) {
    this.images.set(name, image);
    const li = this.list.querySelector(`li[data-name="${CSS.escape(name)}"]`);
    if (!li) return;
    const shown = li.querySelector("img");
    shown.src = image;
    shown.hidden = false;
    li.querySelector(".blank").hidden = true;
    this.on.thumbnail(name, image);
  }

  mark(names) {
    this.chosen = names;
    for (const li of this.list.children) {
      li.querySelector(".pick").setAttribute("aria-pressed", String(names.includes(li.dataset.name)));
    }
  }

  filter() {
    const asked = this.search.value.trim().toLowerCase();
    this.entries.forEach((entry, at) => {
      const said = [entry.name, entry.title, entry.title_zh, entry.artist, entry.date].join(" ").toLowerCase();
      this.list.children[at].hidden = asked !== "" && !said.includes(asked);
    });
  }

  key(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const li = event.target.closest("li");
    if (!way || !li) return;
    event.preventDefault();
    let next = li;
    do next = way > 0 ? next.nextElementSibling : next.previousElementSibling;
    while (next?.hidden);
    next?.querySelector(".pick").focus();
  }
}
