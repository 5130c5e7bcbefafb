// Paint a photo over HTTP with Node 18 or newer; in a browser `photo` may be a file that was dropped.
import { readFile, writeFile } from "node:fs/promises";

const form = new FormData();
form.append("photo", new Blob([await readFile("photo.jpg")]), "photo.jpg");
form.append("style", "great-wave");
form.append("strength", "0.8");

const answer = await fetch("http://127.0.0.1:8765/api/v1/paint", { method: "POST", body: form, headers: { "X-Danqing": "1" } });
if (!answer.ok) throw new Error((await answer.json()).error.message);
await writeFile("painting.png", Buffer.from(await answer.arrayBuffer()));
