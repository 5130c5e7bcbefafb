// Regions: where each style is painted, by brush or from a picture. It knows the view and the tools, not the styles.

import { sendPicture } from "./api.js";
import { $, complain, say } from "./page.js";
import { changed, state } from "./state.js";
import { emptyMask, maskFile, readMask } from "./view.js";
import { t } from "./words.js";

const WAIT = 180; // ms without a stroke after which a region is sent
const LEAST = 0.01;
const MOST = 0.4;
const STEP = 1.15;

export class Regions {
  constructor(view, on) {
    this.view = view;
    this.on = on; // {turned(): brushing began or ended, choose(then): a file}
    this.now = null;
    view.addEventListener("mask", ({ detail: region }) => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.send(region).then(changed, complain), WAIT);
      this.drawUndo();
    });
    $("brush-size").addEventListener("input", () => this.set("size", Number($("brush-size").value)));
    $("brush-soft").addEventListener("input", () => this.set("soft", Number($("brush-soft").value)));
    $("eraser").addEventListener("click", () => this.toggleEraser());
    $("undo").addEventListener("click", () => view.undo());
    $("redo").addEventListener("click", () => view.redo());
    $("clear").addEventListener("click", () => view.change((context, canvas) => context.clearRect(0, 0, canvas.width, canvas.height)));
    $("invert").addEventListener("click", () => view.change(invert));
    $("mask-file").addEventListener("click", () => on.choose((file) => this.take(file)));
    $("tools-done").addEventListener("click", () => this.stop());
  }

  start(region, title, colour) {
    if (!state.photo) return;
    this.now = region;
    $("tools").hidden = false;
    $("tools-name").textContent = title;
    region.canvas ??= emptyMask(state.photo);
    this.view.paintMask(region, colour);
    this.drawUndo();
    say(t("brush_hint"));
    this.on.turned();
  }

  stop() {
    if (!this.now) return;
    this.now = null;
    $("tools").hidden = true;
    this.view.paintMask(null);
    this.on.turned();
  }

  drawUndo() {
    $("undo").disabled = !this.now?.undo.length;
    $("redo").disabled = !this.now?.redo.length;
  }

  // Brings a region to the studio, which paints by it from then on.
  async send(region) {
    const file = await maskFile(region.canvas);
    region.id = file ? (await sendPicture(file)).id : "";
  }

  // A black and white picture as the region at hand.
  async take(file) {
    const drawn = emptyMask(state.photo);
    try {
      await readMask(file, drawn);
    } catch {
      complain(new Error(t("no_mask")));
      return;
    }
    this.view.change((context, canvas) => {
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.drawImage(drawn, 0, 0);
    });
  }

  set(name, value) {
    this.view.brush[name] = value;
    this.view.moveCursor();
  }

  toggleEraser() {
    this.view.brush.eraser = !this.view.brush.eraser;
    $("eraser").setAttribute("aria-pressed", String(this.view.brush.eraser));
  }

  // A key while a region is painted; whether it meant something.
  key({ key, shiftKey }, command) {
    const letter = key.toLowerCase();
    if (command && letter === "z") shiftKey ? this.view.redo() : this.view.undo();
    else if (command && letter === "y") this.view.redo();
    else if (command) return false;
    else if (key === "[" || key === "]") {
      const size = Math.min(MOST, Math.max(LEAST, this.view.brush.size * (key === "]" ? STEP : 1 / STEP)));
      $("brush-size").value = size;
      this.set("size", size);
    } else if (letter === "e") this.toggleEraser();
    else return false;
    return true;
  }
}

function invert(context, canvas) {
  context.globalCompositeOperation = "source-out";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-over";
}
