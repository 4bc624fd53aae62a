import assert from "node:assert/strict";
import { test } from "node:test";

import { headline, inShort, lackingPapers, namesOf } from "../site/js/criteria.js";

const tree = (...rows) => rows.map(([id, status, parent]) => ({ id, status, ...(parent ? { parent } : {}) }));
const ids = (criteria) => criteria.map((one) => one.id);

test("criteria that are met are told by their parts, without those that do not apply", () => {
  const criteria = tree(["r", "met"], ["a", "met", "r"], ["a.1", "unknown", "a"], ["b", "not-applicable", "r"]);
  assert.equal(headline({ criteria }), "The payer's criteria are met");
  assert.deepEqual(ids(inShort(criteria)), ["a"]);
});

test("what is open is told by what stands in the way: below a part that is met nothing does", () => {
  const criteria = tree(
    ["r", "unknown"], ["a", "met", "r"], ["a.1", "unknown", "a"], ["b", "unknown", "r"], ["b.1", "unknown", "b"],
    ["b.2", "not-met", "b"], ["b.3", "met", "b"], ["beside", "unknown"],
  );
  assert.equal(headline({ criteria }), "Still open: 3 of 5 criteria");
  assert.deepEqual(ids(inShort(criteria)), ["b.2", "b.1"]);
});

test("criteria that are not met are never called open", () => {
  assert.equal(headline({ criteria: tree(["r", "not-met"], ["a", "unknown", "r"]) }), "The payer's criteria are not met");
  assert.equal(headline({}), "The payer's answer");
});

test("a criterion is called by its question, one that the order cures by what is said of it", () => {
  const names = namesOf([{ id: "a" }, { id: "b", reason: "this order: gives the flow" }, { id: "c" }], {
    item: [{ linkId: "a", text: "Is it so?", type: "choice" }],
  });
  assert.deepEqual([...names.values()], ["Is it so?", "this order: gives the flow", "c"]);
});

test("papers that are lacking are told, those on file or not wanted are not", () => {
  const documents = [
    { id: "a", status: "missing", reason: "Not found: a" }, { id: "b", status: "on-file" },
    { id: "c", status: "not-applicable" }, { id: "d", status: "unsigned", reason: "Without a signature" },
    { id: "e", status: "missing", reason: "Not found: A request in the portal" },
  ];
  const form = { item: [{ linkId: "a", text: "The prescription", type: "attachment" }] };
  const told = lackingPapers({ documents }, form).map(({ name, status }) => `${status}: ${name}`);
  assert.deepEqual(told, ["Missing: The prescription", "Not signed: Without a signature", "Missing: A request in the portal"]);
  assert.deepEqual(lackingPapers({}, form), []);
});
