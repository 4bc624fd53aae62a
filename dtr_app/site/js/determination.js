// What the payer says now that the answers are in: the determination in words, criterion by criterion.

import { element } from "./page.js";
import { walk } from "./items.js";

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

/** One line that says it: how many criteria are met, how many are open. */
export function headline(determination) {
  const leaves = leavesOf(determination.criteria ?? []);
  const open = leaves.filter((one) => one.status === "unknown").length;
  const [root] = determination.criteria ?? [];
  if (root?.status === "met") return "The payer's criteria are met";
  if (root?.status === "not-met") return "The payer's criteria are not met";
  return open > 0 ? `Still open: ${open} of ${leaves.length} criteria` : "The payer's answer";
}

function leavesOf(criteria) {
  const parents = new Set(criteria.map((one) => one.parent));
  return criteria.filter((one) => !parents.has(one.id));
}

/** The determination as elements. A criterion is named by the question that asks for it. */
export function determinationView(determination, questionnaire) {
  const texts = new Map([...walk(questionnaire.item)].map(({ item }) => [item.linkId, item.text]));
  const said = [
    ["Coverage", COVERED[determination.covered] ?? determination.covered],
    ["Prior authorization", AUTHORIZATION[determination.paNeeded] ?? determination.paNeeded],
    ["Why", determination.reason],
  ].filter(([, text]) => text);
  const facts = said.flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]);
  const verdicts = (determination.criteria ?? []).map((one) => verdict(one, texts.get(one.id) ?? one.id));
  return [element("dl", { className: "said" }, ...facts), element("ul", { className: "verdicts" }, ...verdicts)];
}

function verdict(criterion, text) {
  const [mark, words] = MARKS[criterion.status] ?? ["?", criterion.status];
  const line = element("li", { className: criterion.status, "data-criterion": criterion.id, "data-status": criterion.status });
  line.append(element("span", { className: "mark", text: `${mark} ${words}: ` }), text);
  if (criterion.reason) line.append(element("span", { className: "why", text: criterion.reason }));
  return line;
}
