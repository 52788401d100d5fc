// A short sound for a new urgent alert: only where somebody asked for it on this device.

const KEY = "fieldsvc-alert-sound";

export function makeSound(box) {
  box.checked = localStorage.getItem(KEY) === "on";
  let audio = null;
  const wake = () => (audio ??= new AudioContext());
  box.addEventListener("change", () => {
    localStorage.setItem(KEY, box.checked ? "on" : "off");
    if (box.checked) beep(wake());
  });
  return { ring: () => box.checked && beep(wake()) };
}

function beep(audio) {
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = 740;
  volume.gain.setValueAtTime(0.15, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.5);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.5);
}
