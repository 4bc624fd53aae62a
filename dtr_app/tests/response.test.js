import assert from "node:assert/strict";
import { test } from "node:test";

import { answersOf, attributed, flatResponse, originOf, ORIGIN, progress, filledIn, rebuilt, resumed, written } from "../site/js/response.js";
import { enabledLinks, isEnabled, lacking, sameValue, shown } from "../site/js/items.js";

const YES = { system: "http://terminology.hl7.org/CodeSystem/v2-0136", code: "Y", display: "Yes" };
const NO = { ...YES, code: "N", display: "No" };
const AUTHOR = { reference: "Practitioner/p", practitioner: { reference: "Practitioner/p" }, role: null };
const choice = (linkId, more = {}) => ({ linkId, text: `${linkId}?`, type: "choice", answerOption: [{ valueCoding: YES }, { valueCoding: NO }], ...more });
const text = (linkId) => ({ linkId, text: `${linkId}?`, type: "text" });
const only = (linkId, code) => [{ question: linkId, operator: "=", answerCoding: code }];
const from = (source, value) => ({ extension: [{ url: ORIGIN, extension: [{ url: "source", valueCode: source }] }], ...value });
const yes = { valueCoding: YES };
const no = { valueCoding: NO };

const FORM = {
  resourceType: "Questionnaire", url: "https://payer.example/q", version: "1",
  item: [
    { linkId: "g", type: "group", text: "Group", item: [
      choice("rest", { item: [{ linkId: "rest.help", type: "display", text: "Help" }, text("rest.found")] }),
      choice("kind", { item: [{ linkId: "branch", type: "group", text: "Branch", enableWhen: only("kind", YES), item: [choice("deep")] }] }),
    ] },
    choice("form.attestation", { required: true }),
  ],
};
const all = new Set(["g", "rest", "rest.found", "kind", "branch", "deep", "form.attestation"]);

test("what was found for an open question is kept below an answer without a value", () => {
  const found = from("auto-server", { valueString: "88 %" });
  const items = rebuilt(FORM, new Map([["rest.found", [found]]]), all);
  const answer = items[0].item[0].answer[0];
  assert.deepEqual(Object.keys(answer).sort(), ["extension", "item"]);
  assert.equal(originOf(answer), "auto-server");
  assert.deepEqual(answersOf({ item: items }).get("rest.found"), [found]);
});

test("answers come back from LHC-Forms in the nesting of the questionnaire", () => {
  const answers = new Map([["rest", [yes]], ["rest.found", [{ valueString: "88 %" }]], ["kind", [yes]], ["deep", [no]]]);
  const flat = flatResponse(shown(FORM), answers);
  assert.deepEqual(flat.item[0].item.map((one) => one.linkId), ["rest", "rest.found", "kind", "branch"]);
  const back = rebuilt(FORM, answersOf(flat), all);
  assert.equal(back[0].item[0].answer[0].item[0].linkId, "rest.found");
  assert.equal(back[0].item[1].answer[0].item[0].item[0].linkId, "deep");
  assert.deepEqual([...answersOf({ item: back }).keys()].sort(), ["deep", "kind", "rest", "rest.found"]);
});

test("answers under a disabled item are left out", () => {
  const answers = new Map([["kind", [no]], ["deep", [yes]]]);
  const enabled = enabledLinks(FORM, answers);
  assert.equal(enabled.has("deep"), false);
  assert.equal(answersOf({ item: rebuilt(FORM, answers, enabled) }).has("deep"), false);
});

test("an answer that stands as it was filled in keeps its origin", () => {
  const before = new Map([["rest", [from("auto-server", yes)]]]);
  const worded = { valueCoding: { ...YES, display: "yes" } };
  assert.equal(originOf(attributed(new Map([["rest", [worded]]]), before, AUTHOR).get("rest")[0]), "auto-server");
});

test("an answer that a person changed is an override with its author, a new one is manual", () => {
  const before = new Map([["rest", [from("auto", yes)]]]);
  const now = attributed(new Map([["rest", [no]], ["deep", [yes]]]), before, AUTHOR);
  assert.equal(originOf(now.get("rest")[0]), "override");
  assert.equal(originOf(now.get("deep")[0]), "manual");
  const author = now.get("deep")[0].extension[0].extension.find((one) => one.url === "author");
  assert.deepEqual(author.extension, [{ url: "practitioner", valueReference: { reference: "Practitioner/p" } }]);
});

test("a change of what a person wrote earlier stays theirs", () => {
  const before = new Map([["rest", [from("manual", yes)]], ["deep", [from("override", yes)]]]);
  const now = attributed(new Map([["rest", [no]], ["deep", [no]]]), before, AUTHOR);
  assert.deepEqual([originOf(now.get("rest")[0]), originOf(now.get("deep")[0])], ["manual", "override"]);
});

test("a resumed draft keeps what a person wrote and fills in the rest anew", () => {
  const response = (items) => ({ item: Object.entries(items).map(([linkId, answer]) => ({ linkId, answer: [answer] })) });
  const fresh = response({ a: from("auto-server", yes), b: from("auto-server", no), c: from("auto-server", yes) });
  const saved = response({ a: from("manual", no), b: from("auto-server", yes), d: from("auto-server", yes), e: from("manual", yes) });
  const merged = resumed(fresh, saved);
  const told = Object.fromEntries([...merged].map(([link, [one]]) => [link, `${one.valueCoding.code} ${originOf(one)}`]));
  assert.deepEqual(told, {
    a: "N override", // a manual answer that population would have filled
    b: "N auto-server",
    c: "Y auto-server",
    d: "Y auto-server", // the record no longer tells: what the payer knew stays
    e: "Y manual",
  });
});

test("what a draft says about itself is saved with the answers", () => {
  const draft = {
    resourceType: "QuestionnaireResponse", id: "of-the-payer", meta: { profile: ["p"], tag: [{ code: "x" }] },
    extension: [{ url: "qr-coverage" }], questionnaire: "https://payer.example/q|1", status: "in-progress",
    subject: { reference: "Patient/1" }, item: [{ linkId: "old" }],
  };
  const saved = written(draft, [{ linkId: "new" }], { status: "completed", authored: "2026-11-22T10:00:00Z", author: { reference: "Practitioner/p" }, saved: null });
  assert.deepEqual(saved, {
    resourceType: "QuestionnaireResponse", meta: { profile: ["p"] }, extension: [{ url: "qr-coverage" }],
    questionnaire: "https://payer.example/q|1", status: "completed", authored: "2026-11-22T10:00:00Z",
    author: { reference: "Practitioner/p" }, subject: { reference: "Patient/1" }, item: [{ linkId: "new" }],
  });
});

test("a draft that the record holds is updated under its own id and version", () => {
  const saved = written({ resourceType: "QuestionnaireResponse" }, [], {
    status: "in-progress", authored: "x", author: null, saved: { id: "7", meta: { versionId: "3", lastUpdated: "y" } },
  });
  assert.equal(saved.id, "7");
  assert.deepEqual(saved.meta, { versionId: "3" });
});

test("a required question that is asked and open is told, one that is not asked is not", () => {
  assert.deepEqual(lacking(FORM, new Map()).map((one) => one.linkId), ["form.attestation"]);
  const hidden = { item: [choice("a"), choice("b", { required: true, enableWhen: only("a", YES) })] };
  assert.deepEqual(lacking(hidden, new Map([["a", [no]]])), []);
  assert.deepEqual(lacking(hidden, new Map([["a", [yes]]])).map((one) => one.linkId), ["b"]);
});

test("several conditions are joined as the form says", () => {
  const two = [...only("a", YES), ...only("b", YES)];
  const answers = new Map([["a", [yes]], ["b", [no]]]);
  assert.equal(isEnabled({ enableWhen: two, enableBehavior: "any" }, answers), true);
  assert.equal(isEnabled({ enableWhen: two, enableBehavior: "all" }, answers), false);
  assert.equal(isEnabled({ enableWhen: [{ question: "a", operator: "exists", answerBoolean: false }] }, new Map()), true);
  assert.equal(isEnabled({ enableWhen: [{ question: "n", operator: ">", answerInteger: 3 }] }, new Map([["n", [{ valueInteger: 4 }]]])), true);
});

test("codes are compared and displays are not, values of two types are never the same", () => {
  assert.equal(sameValue(yes, { valueCoding: { code: "Y", system: YES.system } }), true);
  assert.equal(sameValue(yes, no), false);
  assert.equal(sameValue({ valueString: "1" }, { valueInteger: 1 }), false);
});

test("a form for LHC-Forms has buttons for few choices, help at its question, and no expressions", () => {
  const q = { ...FORM, extension: [{ url: "http://hl7.org/fhir/StructureDefinition/cqf-library", valueCanonical: "x" }] };
  const out = shown(q);
  assert.deepEqual(out.extension, []);
  const [rest, found, kind, branch] = out.item[0].item;
  assert.equal(rest.item[0].linkId, "rest.help");
  assert.equal(rest.extension[0].valueCodeableConcept.coding[0].code, "radio-button");
  assert.deepEqual([found.linkId, kind.linkId, branch.linkId], ["rest.found", "kind", "branch"]);
  assert.equal(kind.item, undefined);
});

test("what stands below a question that is asked under a condition keeps the condition beside it", () => {
  const out = shown({ item: [choice("a"), choice("b", { enableWhen: only("a", YES), item: [text("b.found")] })] });
  assert.deepEqual(out.item[2].enableWhen, only("a", YES));
});

test("a value set of the package goes inside the form, one that is not there leaves words to be typed", () => {
  const set = { resourceType: "ValueSet", id: "vs", url: "https://payer.example/vs", version: "2", expansion: { contains: [] } };
  const item = { linkId: "a", type: "choice", text: "A", answerValueSet: "https://payer.example/vs|2" };
  const [within] = shown({ item: [item] }, [set]).item;
  assert.equal(within.answerValueSet, "#vs");
  assert.equal(shown({ item: [item] }, [set]).contained[0].id, "vs");
  assert.equal(shown({ item: [item] }, []).item[0].type, "string");
});

test("what was filled in from the record is said beside its question, and what a person wrote is not", () => {
  const answers = new Map([["rest", [from("auto-server", yes)]], ["kind", [from("override", yes)]]]);
  assert.deepEqual([...filledIn(answers).keys()], ["rest"]);
  const [rest, , kind] = shown(FORM, [], filledIn(answers)).item[0].item;
  assert.equal(rest.text, "rest? (filled in from the record: Yes)");
  assert.equal(kind.text, "kind?");
});

test("progress counts questions, not what was found for them", () => {
  const answers = new Map([["rest", [from("auto-server", yes)]], ["rest.found", [from("auto-server", { valueString: "x" })]], ["kind", [from("manual", no)]]]);
  assert.deepEqual(progress(FORM, answers, enabledLinks(FORM, answers)), { asked: 2, answered: 2, automatic: 1 });
});
