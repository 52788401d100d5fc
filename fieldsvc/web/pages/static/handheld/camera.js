// The camera as a scanner, where the browser reads codes by itself; a code counts once it was read twice, if it is not its own proof.

const EVERY_MS = 160;
const AT_ONCE_MS = 60; // a row of codes changes five times a second
const WANTED = ["code_128", "code_39", "data_matrix", "qr_code", "ean_13", "itf", "pdf417"];

/** Whether this browser can scan with its camera at all. */
export function hasCamera() {
  return "BarcodeDetector" in globalThis && Boolean(navigator.mediaDevices?.getUserMedia);
}

/**
 * Open the camera into a video element: {stop(), torch(on) → whether it did, hasTorch}. Rejects where it is not allowed.
 * `atOnce`: codes that carry their own check count when they are read once.
 */
export async function openCamera({ video, onCode, atOnce = false }) {
  const known = await globalThis.BarcodeDetector.getSupportedFormats();
  const detector = new globalThis.BarcodeDetector({ formats: WANTED.filter((each) => known.includes(each)) });
  const wanted = { facingMode: "environment", width: { ideal: 1280 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  const [track] = stream.getVideoTracks();
  video.srcObject = stream;
  await video.play();
  const stop = watch(detector, video, { onCode, atOnce });
  return {
    hasTorch: Boolean(track.getCapabilities?.().torch),
    torch: (on) => track.applyConstraints({ advanced: [{ torch: on }] }).then(() => true, () => false),
    stop() {
      stop();
      for (const each of stream.getTracks()) each.stop();
      video.srcObject = null;
    },
  };
}

function watch(detector, video, { onCode, atOnce }) {
  let over = false;
  let before = null;
  const look = async () => {
    if (over) return;
    const found = document.hidden ? [] : await detector.detect(video).catch(() => []);
    const code = found[0]?.rawValue ?? null;
    if (code && (atOnce || code === before) && !over) onCode(code, "camera");
    before = code;
    setTimeout(look, atOnce ? AT_ONCE_MS : EVERY_MS);
  };
  look();
  return () => (over = true);
}
