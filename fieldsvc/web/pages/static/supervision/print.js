// Printing: the map as a picture of this moment, with its legend open.

// `map()` gives the map, once there is one.
export function makePrint(opener, { frame, legend, map }) {
  const picture = frame.querySelector("img");
  opener.addEventListener("click", async () => {
    await draw(picture, map());
    print();
  });
  let wasOpen = false;
  addEventListener("beforeprint", () => {
    wasOpen = legend.open;
    legend.open = true;
  });
  addEventListener("afterprint", () => {
    legend.open = wasOpen;
    picture.hidden = true;
  });
}

// What is drawn by the graphics processor is kept only until the next frame: it is copied in the same turn.
async function draw(picture, map) {
  picture.hidden = !map;
  if (!map) return;
  map.redraw();
  picture.src = map.getCanvas().toDataURL("image/png");
  await picture.decode();
}
