// A landscape to try styles on where there is no photo yet, drawn here: mountains in mist, a lake, a low sun.

const WIDTH = 960;
const HEIGHT = 640;

function ridge(seed, roughness) {
  const parts = Array.from({ length: 7 }, (_, i) => [(i + 1) * (1.1 + 0.37 * Math.sin(seed * 7 + i)), Math.sin(seed * 13 + i * 5) * 6, 1 / (i + 1) ** roughness]);
  return (x) => parts.reduce((sum, [rate, phase, size]) => sum + size * Math.sin(x * rate * 6.28 + phase), 0);
}

function grain(context) {
  const picture = context.getImageData(0, 0, WIDTH, HEIGHT);
  let state = 7;
  for (let i = 0; i < picture.data.length; i += 4) {
    state = (state * 1103515245 + 12345) % 2147483648;
    const noise = (state / 2147483648 - 0.5) * 22;
    for (let c = 0; c < 3; c++) picture.data[i + c] += noise;
  }
  context.putImageData(picture, 0, 0);
}

export async function landscape() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d");
  const shore = HEIGHT * 0.66;
  const sky = context.createLinearGradient(0, 0, 0, shore);
  for (const [at, colour] of [[0, "#5f86b3"], [0.45, "#b9c4cf"], [0.78, "#f0c9a0"], [1, "#f7dcb5"]]) sky.addColorStop(at, colour);
  context.fillStyle = sky;
  context.fillRect(0, 0, WIDTH, shore);
  const glow = context.createRadialGradient(WIDTH * 0.68, shore * 0.72, 8, WIDTH * 0.68, shore * 0.72, 190);
  for (const [at, colour] of [[0, "#fff3d2"], [0.16, "#ffe3a8"], [0.2, "rgb(255 214 150 / 0.55)"], [1, "rgb(255 214 150 / 0)"]]) glow.addColorStop(at, colour);
  context.fillStyle = glow;
  context.fillRect(0, 0, WIDTH, shore);
  const ranges = [[0.5, 52, 0.9, "#8ea6bd"], [0.63, 60, 1.0, "#6f8ba3"], [0.76, 62, 1.0, "#4e7078"], [0.88, 46, 0.8, "#38584e"], [0.98, 22, 0.7, "#23402f"]];
  ranges.forEach(([base, high, roughness, colour], number) => {
    const line = ridge(number + 2.3, roughness);
    context.beginPath();
    context.moveTo(0, shore);
    for (let x = 0; x <= WIDTH; x += 3) context.lineTo(x, shore * base - high * 0.6 * line(x / WIDTH) + 14);
    context.lineTo(WIDTH, shore);
    const shade = context.createLinearGradient(0, shore * base - high, 0, shore);
    shade.addColorStop(0, colour);
    shade.addColorStop(1, number < 3 ? "#c9cfca" : "#2d4a3a");
    context.fillStyle = shade;
    context.fill();
  });
  context.save();
  context.translate(0, 2 * shore);
  context.scale(1, -1);
  context.drawImage(canvas, 0, shore - (HEIGHT - shore), WIDTH, HEIGHT - shore, 0, shore - (HEIGHT - shore), WIDTH, HEIGHT - shore);
  context.restore();
  const water = context.createLinearGradient(0, shore, 0, HEIGHT);
  water.addColorStop(0, "rgb(60 92 112 / 0.25)");
  water.addColorStop(1, "rgb(28 54 74 / 0.8)");
  context.fillStyle = water;
  context.fillRect(0, shore, WIDTH, HEIGHT - shore);
  for (let i = 0; i < 90; i++) {
    const y = shore + 4 + (HEIGHT - shore) * (i / 90) ** 1.4;
    const x = (i * 283) % WIDTH;
    context.fillStyle = `rgb(255 236 205 / ${0.05 + 0.16 * Math.exp(-(((x - WIDTH * 0.68) / 170) ** 2))})`;
    context.fillRect(x - 60 - i, y, 120 + 2 * i, 1 + i / 40);
  }
  context.strokeStyle = "#1b2f22";
  for (let i = 0; i < 120; i++) {
    const x = ((i * 97) % 300) - 30;
    const foot = HEIGHT + 5;
    context.lineWidth = 1 + (i % 3);
    context.beginPath();
    context.moveTo(x, foot);
    context.quadraticCurveTo(x + 4, foot - 60, x + 18 * Math.sin(i), foot - 50 - ((i * 37) % 95));
    context.stroke();
  }
  grain(context);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return new File([blob], "landscape.jpg", { type: "image/jpeg" });
}
