// LHC-Forms, as far as this page uses it: a form with its answers goes in, answers come out.

import { answersOf, filledIn, flatResponse } from "./response.js";
import { shown } from "./items.js";

/* global LForms */
const VERSION = "R4";

/** Shows a form with answers (by linkId) in the element `place`. */
export async function rendered(place, questionnaire, valueSets, answers) {
  const asked = shown(questionnaire, valueSets, filledIn(answers));
  const form = LForms.Util.convertFHIRQuestionnaireToLForms(asked, VERSION);
  const filled = LForms.Util.mergeFHIRDataIntoLForms("QuestionnaireResponse", flatResponse(asked, answers), form, VERSION);
  // help as words, not behind a button; question above answer, at every width: our questions are sentences
  filled.templateOptions = { ...filled.templateOptions, showCodingInstruction: true, viewMode: "sm" };
  const element = document.getElementById(place);
  LForms.Util.removeFormsFromPage?.(place);
  element.replaceChildren();
  await LForms.Util.addFormToPage(filled, place, {});
}

/** LHC-Forms gives the controls of an attachment no name: their question's is theirs, whenever they appear. */
function named(place) {
  for (const input of place.querySelectorAll('input[type="file"]:not([aria-labelledby])')) {
    input.setAttribute("aria-labelledby", `label-${input.id.replace(/^file-/, "")}`);
  }
}
new MutationObserver(() => named(document.getElementById("form"))).observe(document.getElementById("form"), {
  childList: true, subtree: true,
});

/** The answers as they stand on the page, by linkId. */
export function given() {
  return answersOf(LForms.Util.getFormFHIRData("QuestionnaireResponse", VERSION));
}

/** What LHC-Forms itself finds wrong with an answer (a date that is none, a value out of range), in its words. */
export function faults() {
  return LForms.Util.checkValidity() ?? [];
}

/** Moves to the question of a linkId. */
export function goTo(linkId) {
  const item = document.querySelector(`[id^="item-${CSS.escape(linkId)}/"]`);
  item?.scrollIntoView({ block: "center" });
  item?.querySelector("input, textarea, select")?.focus();
}
