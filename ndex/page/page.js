// Says under the map which block the mouse is on.
(() => {
  const data = document.getElementById("map-facts");
  const img = document.getElementById("map");
  if (!data || !img) return;
  const map = JSON.parse(data.textContent);
  const out = document.getElementById("cell");
  const idle = out.textContent;
  const canvas = document.createElement("canvas");
  let pixels = null;
  const read = () => {
    canvas.width = img.naturalWidth;
    canvas.height = img.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(img, 0, 0);
    pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  };
  const along = (axis, cell, count) => {
    const first = Math.floor((map.start[axis] - map.origin[axis]) / map.step[axis]);
    const edge = (n) => map.origin[axis] + (first + n) * map.step[axis];
    const from = Math.max(map.start[axis], edge(cell * count));
    const to = Math.min(map.stop[axis], edge((cell + 1) * count));
    return `${from + map.offset[axis]}:${to + map.offset[axis]}`;
  };
  const stateAt = (x, y) => {
    const i = 4 * (y * canvas.width + x);
    const color = `${pixels[i]},${pixels[i + 1]},${pixels[i + 2]}`;
    return map.colors[color] || "";
  };
  img.addEventListener("mousemove", (event) => {
    if (!pixels) read();
    const box = img.getBoundingClientRect();
    const px = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
    const py = Math.floor(((event.clientY - box.top) / box.height) * canvas.height);
    const [width, height] = [map.width + 1, map.height + 1];
    const run = Math.floor(py / height) * map.columns + Math.floor(px / width);
    const [x, y] = [px % width, py % height];
    if (run >= map.runs || x >= map.width || y >= map.height) { out.textContent = idle; return; }
    const first = run * map.factor[2];
    const time = map.times > 1 ? `t ${map.t + Math.floor(first / map.layers)}, ` : "";
    const z = along(2, map.factor[2] > 1 ? run : first % map.layers, map.factor[2]);
    out.textContent = `${time}z ${z}, y ${along(1, y, map.factor[1])}, x ${along(0, x, map.factor[0])}: ${stateAt(px, py)}`;
  });
  img.addEventListener("mouseleave", () => { out.textContent = idle; });
})();
