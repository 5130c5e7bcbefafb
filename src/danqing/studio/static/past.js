// The paintings of this visit, each with everything it was painted with; a click goes back to one.

import { $ } from "./page.js";
import { KNOBS, snapshot, state } from "./state.js";
import { label, t } from "./words.js";

const MOST = 24;
const SIDE = 160;

export class Past {
  constructor(back) {
    this.back = back; // called with {made, thumb, photo, chosen}
    this.works = [];
  }

  // A painting is done; in another format it is still the same, by another engine it is not.
  async add(made) {
    const { photo = state.photo, chosen = snapshot() } = made;
    const work = { made, photo, chosen, thumb: await small(made.blob) };
    const same = (old) => old.made.number === made.number && old.made.about.engine === made.about.engine;
    this.works = [work, ...this.works.filter((old) => !same(old))].slice(0, MOST);
    this.draw();
  }

  draw() {
    $("history-section").hidden = !this.works.length;
    $("history").replaceChildren(...this.works.map((work) => this.item(work)));
  }

  item(work) {
    const button = document.createElement("button");
    button.type = "button";
    label(button, t("back_to", { name: recipeOf(work.chosen) }));
    const image = document.createElement("img");
    Object.assign(image, { src: work.thumb, alt: "" });
    button.append(image);
    button.addEventListener("click", () => this.back(work));
    const li = document.createElement("li");
    li.append(button);
    return li;
  }
}

// What a painting was made with, in a line.
function recipeOf({ layers, knobs }) {
  const styles = layers.map(({ title, weight }) => (layers.length > 1 ? `${title} ${weight}` : title)).join(" + ");
  const special = { keep_color: `${t("colors")} ${t(`colors_${knobs.keep_color}`)}`, enlarge: t("enlarge") };
  const turned = Object.keys(KNOBS).filter((name) => knobs[name] !== KNOBS[name]);
  return [styles, ...turned.map((name) => special[name] ?? `${t(name)} ${knobs[name]}`)].join(", ");
}

async function small(blob) {
  const bitmap = await createImageBitmap(blob, { resizeWidth: SIDE, resizeQuality: "medium" }).catch(() => null);
  if (!bitmap) return "";
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.toDataURL("image/jpeg", 0.85);
}
