// The camera: one picture of it as the photo, or all of them painted as they come, as fast as the machine does it.

import { post } from "./api.js";
import { fields, state } from "./state.js";
import { t } from "./words.js";

const QUALITY = 0.85;
const AIM = 0.12; // seconds for a frame
const SMALLEST = 192;
const LARGEST = 640;

export class Camera {
  constructor(parts, on) {
    Object.assign(this, parts); // {box, video, canvas, shoot, live, end, rate}
    this.on = on; // {opened(), closed(), photo(file), failed(error)}
    this.side = 320;
    this.shoot.addEventListener("click", () => this.take());
    this.live.addEventListener("click", () => this.setLive(this.live.getAttribute("aria-pressed") !== "true"));
    this.end.addEventListener("click", () => this.close());
  }

  async open() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720, facingMode: "environment" } });
    } catch {
      this.on.failed(new Error(t("no_camera")));
      return;
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.box.hidden = false;
    this.on.opened();
    this.loop();
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.box.hidden = true;
    this.setLive(false);
    this.on.closed();
  }

  setLive(on) {
    this.live.setAttribute("aria-pressed", String(on));
    this.painting = on;
    this.rate.textContent = "";
  }

  async take() {
    const file = await this.frame(Infinity);
    this.close();
    this.on.photo(file);
  }

  async frame(side) {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, side / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    return new File([blob], "camera.jpg", { type: "image/jpeg" });
  }

  async loop() {
    const context = this.canvas.getContext("2d");
    const put = (picture, width, height) => {
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      context.drawImage(picture, 0, 0, width, height);
    };
    let last = performance.now();
    let rate = 0;
    while (this.stream) {
      if (this.painting && state.layers.length) {
        try {
          const painted = await this.painted();
          if (!this.stream) return;
          put(painted, painted.width, painted.height);
          const now = performance.now();
          const seconds = (now - last) / 1000;
          rate = rate ? 0.8 * rate + 0.2 / seconds : 1 / seconds;
          this.side = Math.min(LARGEST, Math.max(SMALLEST, Math.round(this.side * (seconds > AIM * 1.25 ? 0.95 : seconds < AIM * 0.8 ? 1.05 : 1))));
          this.rate.textContent = t("rate", { rate: rate.toFixed(1), size: Math.max(painted.width, painted.height) });
          last = now;
          continue;
        } catch (error) {
          if (error.code !== "superseded") {
            this.setLive(false);
            this.on.failed(error);
          }
        }
      }
      put(this.video, this.video.videoWidth, this.video.videoHeight);
      last = performance.now();
      await new Promise((done) => requestAnimationFrame(done));
    }
  }

  async painted() {
    const file = await this.frame(this.side);
    const list = fields({ size: this.side, photo: file, format: "jpeg" }).filter(([name]) => name !== "mask" && name !== "protect");
    return createImageBitmap(await (await post("/preview", list)).blob());
  }
}
