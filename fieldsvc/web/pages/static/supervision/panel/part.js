// What the parts of the panel share.

import { Fault } from "../api.js";
import { has, t } from "../words.js";

// Wait for a request; on a fault of the service say so and give null.
export async function failed(request, onFault) {
  try {
    return await request;
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    onFault(fault);
    return null;
  }
}

// Why something was refused, in words: by the problem's code where there are words for it.
export function why(fault) {
  if (fault.status === 0) return t("fault_unreached");
  if (fault.status === 401) return t("fault_expired");
  return t(fault.code && has(`fault_${fault.code}`) ? `fault_${fault.code}` : "fault_other");
}

export function fillOptions(select, options) {
  const kept = select.value;
  const key = JSON.stringify(options);
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  select.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
  if (options.some(([value]) => value === kept)) select.value = kept;
}

export function street(address) {
  return (address ?? "").replace(/[\s,]+\d{5}\s.*$/, ""); // postcode and town are those of the round
}
