// What a person has chosen: the photo, up to four styles with their weights and regions, and the knobs.
// Whoever changes it says so with `changed`; whoever shows it listens. It knows no page and no service.

export const MOST = 4;
export const COLOURS = ["#b13b2a", "#2b6d96", "#8a6a1f", "#4d7f4a"];
export const LEFT_ALONE = "#8c8c8c";

export const KNOBS = { strength: 1, brush: 0.5, style_scale: 1, keep_color: "", size: 1024, enlarge: false };

export const state = {
  photo: null, // {id, file, address, width, height, name, sha256}
  layers: [], // {name | id, title, image, weight, region: {canvas, undo, redo, id}}
  protect: emptyRegion(),
  knobs: { ...KNOBS },
  format: "png",
};

const listeners = new Set();
export const listen = (each) => listeners.add(each);
export function changed() {
  for (const each of listeners) each();
}

export function emptyRegion() {
  return { canvas: null, undo: [], redo: [], id: "" };
}

export function newLayer(about) {
  return { weight: 1, region: emptyRegion(), ...about };
}

// The fields of the form for the service.
export function fields({ size, photo = state.photo.id, format = state.format, extra = [] } = {}) {
  const { knobs, layers, protect } = state;
  const list = [["photo", photo]];
  for (const layer of layers) {
    list.push(["style", layer.id ?? layer.name], ["weight", String(layer.weight)], ["mask", layer.region.id || ""]);
  }
  if (protect.id) list.push(["protect", protect.id]);
  for (const [name, value] of Object.entries(knobs)) {
    if (name !== "size" && value !== KNOBS[name]) list.push([name, String(value)]);
  }
  list.push(["size", String(size ?? knobs.size)], ["format", format]);
  return [...list, ...extra];
}

// What can be put back later, by a copy of its own: everything but the photo.
export function snapshot({ layers, protect, knobs } = state) {
  const region = ({ canvas, id }) => ({ canvas: canvas && copied(canvas), undo: [], redo: [], id });
  return {
    layers: layers.map((layer) => ({ ...layer, region: region(layer.region) })),
    protect: region(protect),
    knobs: { ...knobs },
  };
}

function copied(canvas) {
  const other = document.createElement("canvas");
  other.width = canvas.width;
  other.height = canvas.height;
  other.getContext("2d", { willReadFrequently: true }).drawImage(canvas, 0, 0);
  return other;
}
