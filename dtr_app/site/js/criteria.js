// The criteria of a determination: which of them decide it, and what they are called. Pure.

import { walk } from "./items.js";

function leavesOf(criteria) {
  const parents = new Set(criteria.map((one) => one.parent));
  return criteria.filter((one) => !parents.has(one.id));
}

/** One line that says it: whether the criteria are met, else how many are open. */
export function headline(determination) {
  const criteria = determination.criteria ?? [];
  const [root] = criteria;
  if (root?.status === "met") return "The payer's criteria are met";
  if (root?.status === "not-met") return "The payer's criteria are not met";
  const leaves = leavesOf(criteria).filter((one) => one.status !== "not-applicable");
  const open = leaves.filter((one) => one.status === "unknown").length;
  return open > 0 ? `Still open: ${open} of ${leaves.length} criteria` : "The payer's answer";
}

/** What a reader needs first. Met: the parts that it is made of. Else: what stands in the way, those not met before
 * those open; below a part that is met nothing does. */
export function inShort(criteria) {
  const [root] = criteria;
  if (root.status === "met") {
    return criteria.filter((one) => one.parent === root.id && one.status !== "not-applicable");
  }
  const byId = new Map(criteria.map((one) => [one.id, one]));
  const counts = (one) => {
    for (let at = one; at !== undefined && at.id !== root.id; at = byId.get(at.parent)) {
      if (at.status === "met" || at.status === "not-applicable") return false;
    }
    return true;
  };
  const inTheWay = leavesOf(criteria).filter((one) => isBelow(one, root, byId) && counts(one));
  return ["not-met", "unknown"].flatMap((status) => inTheWay.filter((one) => one.status === status));
}

function isBelow(one, root, byId) {
  for (let at = one; at !== undefined; at = byId.get(at.parent)) if (at.id === root.id) return true;
  return false;
}

const LACKING = { missing: "Missing", expired: "Too old", unsigned: "Not signed" };

/** The papers that are still lacking, `{name, status, reason}`. */
export function lackingPapers(determination, questionnaire) {
  const plain = (determination.documents ?? []).map((one) => ({ ...one, reason: one.reason?.replace(/^Not found: /, "") }));
  const names = namesOf(plain, questionnaire);
  return (determination.documents ?? [])
    .filter((one) => one.status in LACKING)
    .map((one) => ({ id: one.id, name: names.get(one.id), status: LACKING[one.status], reason: one.reason }));
}

/** What to call each criterion: the question that asks for it, else what is said of it. */
export function namesOf(criteria, questionnaire) {
  const texts = new Map([...walk(questionnaire.item)].map(({ item }) => [item.linkId, item.text]));
  return new Map(criteria.map((one) => [one.id, texts.get(one.id) ?? one.reason ?? one.id]));
}
