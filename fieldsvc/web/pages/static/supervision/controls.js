// What the maps of supervision have in common: no tilting, quiet controls, words of the page.

import { t } from "./words.js";

export function options() {
  return {
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    maxPitch: 0,
    fadeDuration: 0,
    maxZoom: 19,
    cooperativeGestures: matchMedia("(max-width: 900px) and (pointer: coarse)").matches,
    locale: locale(),
  };
}

export function addControls(map, { AttributionControl, NavigationControl, ScaleControl }) {
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new ScaleControl({ maxWidth: 110 }), "bottom-left");
  map.addControl(new AttributionControl({ compact: false }), "bottom-right");
}

function locale() {
  return {
    "Map.Title": t("map_title"),
    "NavigationControl.ZoomIn": t("map_zoom_in"),
    "NavigationControl.ZoomOut": t("map_zoom_out"),
    "AttributionControl.ToggleAttribution": t("map_attribution"),
    "CooperativeGesturesHandler.MobileHelpText": t("map_two_fingers"),
    "CooperativeGesturesHandler.WindowsHelpText": t("map_ctrl"),
    "CooperativeGesturesHandler.MacHelpText": t("map_ctrl"),
    "ScaleControl.Meters": "m",
    "ScaleControl.Kilometers": "km",
  };
}
