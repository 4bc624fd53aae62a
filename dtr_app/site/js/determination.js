// What the payer says now that the answers are in: the determination in words, criterion by criterion.

import { element } from "./page.js";
import { headline, inShort, lackingPapers, namesOf } from "./criteria.js";

export { headline };

const COVERED = {
  covered: "Covered", "not-covered": "Not covered", conditional: "Depends on what is still open",
  indeterminate: "Could not be determined",
};
const AUTHORIZATION = {
  "no-auth": "Not needed", "auth-needed": "Needed", satisfied: "On file", performpa: "Asked for by the performer",
  conditional: "Depends on what is still open", indeterminate: "Could not be determined",
};
const MARKS = {
  met: ["✓", "Met"], "not-met": ["✗", "Not met"], unknown: ["?", "Open"], "not-applicable": ["–", "Does not apply"],
};

/** The determination as elements: what it says, what decides it, and, to be opened, every criterion. */
export function determinationView(determination, questionnaire) {
  const criteria = determination.criteria ?? [];
  const names = namesOf(criteria, questionnaire);
  const said = [
    ["Coverage", inWords(COVERED, determination.covered, determination)],
    ["Prior authorization", inWords(AUTHORIZATION, determination.paNeeded, determination)],
    ["Why", determination.reason],
  ].filter(([, text]) => text);
  const facts = said.flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]);
  const shown = [element("dl", { className: "said" }, ...facts)];
  if (criteria.length > 0) shown.push(listed("brief", inShort(criteria), names));
  const papers = lackingPapers(determination, questionnaire);
  if (papers.length > 0) shown.push(element("h3", { text: "Papers that are lacking" }), paperList(papers));
  if (criteria.length > 0) shown.push(everyOne(criteria, names));
  return shown;
}

/** What it depends on is not always open: the payer may have nothing but a condition, which the reason says. */
function inWords(table, code, { reason }) {
  return code === "conditional" && reason ? "It depends: see why" : (table[code] ?? code);
}

function paperList(papers) {
  const lines = papers.map(({ name, status, reason }) => {
    const line = element("li", {}, element("span", { className: "mark", text: `${status}: ` }), name);
    if (reason && reason !== name) line.append(element("span", { className: "why", text: reason }));
    return line;
  });
  return element("ul", { className: "brief" }, ...lines);
}

function everyOne(criteria, names) {
  const text = `All ${criteria.length} criteria and groups`;
  return element("details", {}, element("summary", { text }), listed("verdicts", criteria, names));
}

function listed(className, criteria, names) {
  return element("ul", { className }, ...criteria.map((one) => verdict(one, names.get(one.id))));
}

function verdict(criterion, text) {
  const [mark, words] = MARKS[criterion.status] ?? ["?", criterion.status];
  const line = element("li", { className: criterion.status, "data-criterion": criterion.id, "data-status": criterion.status });
  line.append(element("span", { className: "mark", text: `${mark} ${words}: ` }), text);
  if (criterion.reason && criterion.reason !== text) line.append(element("span", { className: "why", text: criterion.reason }));
  return line;
}
