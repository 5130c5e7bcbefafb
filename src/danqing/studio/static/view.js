// <painting-view>: photo and painting over each other, with a line to compare them by, zoom and pan of both together,
// and masks painted on top. It knows no service: pictures are given to it, `mask` events tell what was painted.

import { label, t } from "./words.js";

const MOST_ZOOM = 12;
const STEP = 1.25;
const MASK_LONG = 768;
const MOST_UNDO = 40;

class PaintingView extends HTMLElement {
  connectedCallback() {
    if (this.frame) return;
    this.innerHTML = `
      <div class="frame"><img class="before" alt="" draggable="false"><img class="after" alt="" draggable="false"><canvas class="mask"></canvas></div>
      <button type="button" class="cut" role="slider" aria-valuemin="0" aria-valuemax="100" aria-valuenow="50"></button>
      <div class="cursor" hidden></div>
      <div class="zoom"><button type="button" data-zoom="-1">−</button><button type="button" data-zoom="0">⤢</button><button type="button" data-zoom="1">+</button></div>`;
    this.frame = this.querySelector(".frame");
    this.before = this.querySelector(".before");
    this.after = this.querySelector(".after");
    this.maskCanvas = this.querySelector(".mask");
    this.handle = this.querySelector(".cut");
    this.cursor = this.querySelector(".cursor");
    this.picture = { width: 3, height: 2 };
    this.zoom = 1;
    this.at = { x: 0, y: 0 };
    this.cut = 0.5;
    this.brush = { size: 0.1, soft: 0.5, eraser: false };
    this.pointers = new Map();
    this.tabIndex = 0;
    this.setAttribute("role", "group");
    new ResizeObserver(() => this.lay()).observe(this);
    this.listen();
    this.say();
  }

  say() {
    this.setAttribute("aria-label", t("region_view"));
    label(this.handle, t("compare"));
    for (const [step, key] of [["-1", "zoom_out"], ["0", "zoom_fit"], ["1", "zoom_in"]]) {
      label(this.querySelector(`[data-zoom="${step}"]`), t(key));
    }
  }

  // ── pictures ──

  show(photo, width, height) {
    this.picture = { width, height };
    this.style.setProperty("--ratio", `${width} / ${height}`);
    this.before.src = photo;
    this.before.alt = t("alt_photo");
    this.after.removeAttribute("src");
    this.classList.add("plainly");
    this.reset();
  }

  async showPainting(address) {
    const next = new Image();
    next.src = address;
    try {
      await next.decode();
    } catch {
      return;
    }
    this.after.src = address;
    this.after.alt = t("alt_painting");
    this.classList.remove("plainly");
    this.lay();
  }

  reset() {
    this.zoom = 1;
    this.at = { x: 0, y: 0 };
    this.lay();
  }

  fit() {
    const scale = Math.min(this.clientWidth / this.picture.width, this.clientHeight / this.picture.height);
    return { width: this.picture.width * scale, height: this.picture.height * scale };
  }

  lay() {
    if (!this.frame || !this.clientWidth) return;
    const { width, height } = this.fit();
    const shown = { width: width * this.zoom, height: height * this.zoom };
    const bound = (at, room, size) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
    this.at.x = bound(this.at.x, this.clientWidth, shown.width);
    this.at.y = bound(this.at.y, this.clientHeight, shown.height);
    Object.assign(this.frame.style, {
      width: `${width}px`,
      height: `${height}px`,
      transform: `translate(${this.at.x}px, ${this.at.y}px) scale(${this.zoom})`,
    });
    const left = Math.max(0, this.at.x);
    const right = Math.min(this.clientWidth, this.at.x + shown.width);
    const line = left + this.cut * (right - left);
    const top = Math.max(0, this.at.y);
    const bottom = Math.min(this.clientHeight, this.at.y + shown.height);
    Object.assign(this.handle.style, { left: `${line}px`, top: `${top}px`, height: `${bottom - top}px` });
    this.after.style.setProperty("--cut", `${(100 * (line - this.at.x)) / shown.width}%`);
    this.handle.setAttribute("aria-valuenow", String(Math.round(100 * this.cut)));
    this.handle.setAttribute("aria-valuetext", t("compare_value", { percent: Math.round(100 - 100 * this.cut) }));
    this.visible = { left, right };
    this.style.touchAction = this.zoom > 1 || this.layer ? "none" : "pan-y"; // a finger on the whole picture scrolls the page
  }

  zoomTo(zoom, x = this.clientWidth / 2, y = this.clientHeight / 2) {
    const next = Math.min(MOST_ZOOM, Math.max(1, zoom));
    this.at.x = x - ((x - this.at.x) * next) / this.zoom;
    this.at.y = y - ((y - this.at.y) * next) / this.zoom;
    this.zoom = next;
    this.lay();
  }

  setCut(share) {
    this.cut = Math.min(1, Math.max(0, share));
    this.lay();
  }

  // ── masks ──

  paintMask(layer, colour) {
    this.layer = layer;
    this.colour = colour;
    this.classList.toggle("brushing", layer !== null);
    this.cursor.hidden = layer === null;
    this.spot ??= { x: 0.5, y: 0.5 };
    if (layer) {
      layer.canvas ??= emptyMask(this.picture);
      layer.undo ??= [];
      layer.redo ??= [];
      this.focus();
      this.moveCursor();
    }
    this.drawMask();
    this.lay();
  }

  drawMask() {
    const context = this.maskCanvas.getContext("2d");
    if (!this.layer) {
      this.maskCanvas.width = this.maskCanvas.height = 0;
      return;
    }
    const { canvas } = this.layer;
    if (this.maskCanvas.width !== canvas.width || this.maskCanvas.height !== canvas.height) {
      this.maskCanvas.width = canvas.width;
      this.maskCanvas.height = canvas.height;
    }
    context.globalCompositeOperation = "copy";
    context.drawImage(canvas, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = this.colour;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }

  remember() {
    const { canvas, undo } = this.layer;
    undo.push(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height));
    if (undo.length > MOST_UNDO) undo.shift();
    this.layer.redo.length = 0;
  }

  step(from, to) {
    if (!this.layer || !from.length) return;
    const { canvas } = this.layer;
    const context = canvas.getContext("2d");
    to.push(context.getImageData(0, 0, canvas.width, canvas.height));
    context.putImageData(from.pop(), 0, 0);
    this.painted();
  }

  undo() { if (this.layer) this.step(this.layer.undo, this.layer.redo); }
  redo() { if (this.layer) this.step(this.layer.redo, this.layer.undo); }

  change(act) {
    if (!this.layer) return;
    this.remember();
    act(this.layer.canvas.getContext("2d"), this.layer.canvas);
    this.painted();
  }

  painted() {
    this.drawMask();
    this.dispatchEvent(new CustomEvent("mask", { detail: this.layer }));
  }

  dab(x, y) {
    const { canvas } = this.layer;
    const context = canvas.getContext("2d");
    const radius = (this.brush.size * Math.max(canvas.width, canvas.height)) / 2;
    const wash = context.createRadialGradient(x, y, radius * (1 - this.brush.soft) * 0.98, x, y, radius);
    wash.addColorStop(0, "rgb(255 255 255 / 1)");
    wash.addColorStop(1, "rgb(255 255 255 / 0)");
    context.globalCompositeOperation = this.brush.eraser ? "destination-out" : "source-over";
    context.fillStyle = wash;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fill();
    context.globalCompositeOperation = "source-over";
  }

  stroke(from, to) {
    const { canvas } = this.layer;
    const radius = (this.brush.size * Math.max(canvas.width, canvas.height)) / 2;
    const far = Math.hypot((to.x - from.x) * canvas.width, (to.y - from.y) * canvas.height);
    const dabs = Math.max(1, Math.ceil(far / Math.max(1, radius / 4)));
    for (let i = 1; i <= dabs; i++) {
      const share = i / dabs;
      this.dab((from.x + (to.x - from.x) * share) * canvas.width, (from.y + (to.y - from.y) * share) * canvas.height);
    }
    this.drawMask();
  }

  spotOf(event) {
    const box = this.frame.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  }

  moveCursor() {
    const { width, height } = this.fit();
    const across = this.brush.size * Math.max(width, height) * this.zoom;
    Object.assign(this.cursor.style, {
      left: `${this.at.x + this.spot.x * width * this.zoom}px`,
      top: `${this.at.y + this.spot.y * height * this.zoom}px`,
      width: `${across}px`,
      height: `${across}px`,
    });
  }

  // ── hands and keys ──

  listen() {
    this.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = this.getBoundingClientRect();
      this.zoomTo(this.zoom * Math.exp(-event.deltaY * 0.0016), event.clientX - box.left, event.clientY - box.top);
      this.moveCursor();
    }, { passive: false });
    this.addEventListener("dblclick", (event) => {
      if (this.layer || event.target.closest("button")) return;
      const box = this.getBoundingClientRect();
      this.zoomTo(this.zoom > 1 ? 1 : 3, event.clientX - box.left, event.clientY - box.top);
    });
    this.querySelector(".zoom").addEventListener("click", (event) => {
      const step = event.target.dataset.zoom;
      if (step !== undefined) this.zoomTo(step === "0" ? 1 : this.zoom * STEP ** Number(step));
    });
    this.handle.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      event.stopPropagation();
      this.setCut(this.cut + steps[event.key]);
    });
    this.addEventListener("pointerdown", (event) => this.down(event));
    this.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.addEventListener(end, (event) => this.up(event));
    this.addEventListener("keydown", (event) => this.key(event));
  }

  down(event) {
    if (event.target.closest(".zoom") || event.button > 1) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.setPointerCapture(event.pointerId);
    if (event.target === this.handle) this.doing = "cut";
    else if (this.pointers.size === 2) this.doing = "pinch";
    else if (this.layer && event.button === 0) {
      this.doing = "brush";
      this.remember();
      this.spot = this.spotOf(event);
      this.stroke(this.spot, this.spot);
    } else this.doing = "pan";
    this.classList.toggle("moving", this.doing === "pan");
  }

  move(event) {
    if (this.layer) {
      this.moveTo = this.spotOf(event);
      if (this.doing !== "brush") {
        this.spot = this.moveTo;
        this.moveCursor();
      }
    }
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    if (this.doing === "cut") {
      const box = this.getBoundingClientRect();
      this.setCut((now.x - box.left - this.visible.left) / (this.visible.right - this.visible.left));
    } else if (this.doing === "brush") {
      this.stroke(this.spot, this.moveTo);
      this.spot = this.moveTo;
      this.moveCursor();
    } else if (this.doing === "pinch" && this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      const box = this.getBoundingClientRect();
      const stretch = Math.hypot(now.x - other.x, now.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
      this.zoomTo(this.zoom * stretch, (now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top);
    } else if (this.doing === "pan") {
      this.at.x += now.x - before.x;
      this.at.y += now.y - before.y;
      this.lay();
    }
    this.pointers.set(event.pointerId, now);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.doing === "brush") this.painted();
    if (!this.pointers.size) this.doing = null;
    this.classList.remove("moving");
  }

  key(event) {
    if (event.target !== this) return;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "+" || event.key === "=") this.zoomTo(this.zoom * STEP);
    else if (event.key === "-") this.zoomTo(this.zoom / STEP);
    else if (event.key === "0") this.zoomTo(1);
    else if (event.key in arrows) {
      const [x, y] = arrows[event.key];
      if (this.layer) {
        const far = event.shiftKey ? 0.005 : this.brush.size / 3;
        this.spot = { x: Math.min(1, Math.max(0, this.spot.x + x * far)), y: Math.min(1, Math.max(0, this.spot.y + y * far)) };
        this.moveCursor();
      } else {
        this.at.x -= x * 60;
        this.at.y -= y * 60;
        this.lay();
      }
    } else if (this.layer && (event.key === " " || event.key === "Enter")) {
      this.change(() => this.stroke(this.spot, this.spot));
    } else return;
    event.preventDefault();
  }
}

export function emptyMask({ width, height }) {
  const scale = MASK_LONG / Math.max(width, height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d", { willReadFrequently: true });
  return canvas;
}

// A mask as a picture: white where it is painted, on black. Null where nothing is.
export async function maskFile(canvas) {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let any = false;
  for (let i = 3; i < pixels.length && !any; i += 4) any = pixels[i] > 0;
  if (!any) return null;
  const flat = document.createElement("canvas");
  flat.width = canvas.width;
  flat.height = canvas.height;
  const context = flat.getContext("2d");
  context.fillRect(0, 0, flat.width, flat.height);
  context.drawImage(canvas, 0, 0);
  const blob = await new Promise((resolve) => flat.toBlob(resolve, "image/png"));
  return new File([blob], "mask.png", { type: "image/png" });
}

// Puts a mask picture into a canvas: its brightness becomes what is painted.
export async function readMask(file, canvas) {
  const bitmap = await createImageBitmap(file);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const picture = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < picture.data.length; i += 4) {
    const [red, green, blue, alpha] = picture.data.subarray(i, i + 4);
    picture.data.set([255, 255, 255, ((0.299 * red + 0.587 * green + 0.114 * blue) * alpha) / 255], i);
  }
  context.putImageData(picture, 0, 0);
}

customElements.define("painting-view", PaintingView);
