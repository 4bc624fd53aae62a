import assert from "node:assert/strict";
import { test } from "node:test";

import { assertionFor, assertionsOf, below, isOf, launched, orderWords, personWords, sameReference } from "../site/js/context.js";
import { determinationIn, draftsFor, packageRequest, packages } from "../site/js/package.js";

const INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
const said = (coverage, id, ...forms) => ({ url: INFORMATION, extension: [
  { url: "coverage", valueReference: { reference: coverage } }, { url: "coverage-assertion-id", valueString: id },
  ...forms.map((valueCanonical) => ({ url: "questionnaire", valueCanonical })),
] });

test("fhirContext names the order and the coverage, as objects or as strings", () => {
  const token = { fhirContext: [{ reference: "Coverage/c" }, "https://ehr.example/fhir/DeviceRequest/o"] };
  const start = launched(token);
  assert.deepEqual([start.order, start.coverage, start.response], ["https://ehr.example/fhir/DeviceRequest/o", "Coverage/c", null]);
});

test("appContext is read where fhirContext names nothing, also if it was escaped on the way", () => {
  const text = "questionnaire=https%3A%2F%2Fpayer.example%2Fq%7C1&order=DeviceRequest%2Fo&coverage=Coverage%2Fc&context=a-1";
  for (const appContext of [text, encodeURIComponent(text)]) {
    const start = launched({ appContext });
    assert.deepEqual(start, {
      order: "DeviceRequest/o", coverage: "Coverage/c", response: null, context: "a-1", questionnaires: ["https://payer.example/q|1"],
    });
  }
});

test("a launch that names nothing is about nothing", () => {
  assert.deepEqual(launched({}), { order: null, coverage: null, response: null, context: null, questionnaires: [] });
  assert.equal(launched({ appContext: { not: "text" } }).order, null);
});

test("the assertion of the launch's coverage is taken, and one with a form before one without", () => {
  const order = { extension: [said("Coverage/a", "1"), said("Coverage/a", "2", "q|1"), said("Coverage/b", "3", "q|2")] };
  assert.equal(assertionsOf(order).length, 3);
  assert.equal(assertionFor(order, "Coverage/a").id, "2");
  assert.equal(assertionFor(order, "https://ehr.example/fhir/Coverage/b").id, "3");
  assert.equal(assertionFor(order, "Coverage/x"), null);
  assert.equal(sameReference("Coverage/a/_history/2", "Coverage/a"), true);
});

test("a reference is followed below the record's own server and nowhere else", () => {
  const server = "https://ehr.example/fhir";
  assert.equal(below(server, "Coverage/c"), "Coverage/c");
  assert.equal(below(server, "https://ehr.example/fhir/Coverage/c/_history/2"), "Coverage/c/_history/2");
  for (const elsewhere of ["https://ehr.example/fhirother/Coverage/c", "https://evil.example/Coverage/c", "../admin", "//evil.example/x", "Coverage/c?x=1"]) {
    assert.equal(below(server, elsewhere), null);
  }
});

test("an order of another patient is told apart", () => {
  assert.equal(isOf({ subject: { reference: "Patient/p1" } }, "p1"), true);
  assert.equal(isOf({ subject: { reference: "https://ehr.example/fhir/Patient/p2" } }, "p1"), false);
  assert.equal(isOf({}, "p1"), true);
});

test("orders and patients are named in words", () => {
  assert.equal(orderWords({ resourceType: "DeviceRequest", id: "o", codeCodeableConcept: { coding: [{ code: "E1390", display: "Concentrator" }] } }), "Concentrator");
  assert.equal(orderWords({ resourceType: "ServiceRequest", id: "o" }), "ServiceRequest/o");
  assert.equal(personWords({ name: [{ given: ["Ada"], family: "Lee" }], birthDate: "1950-01-02" }), "Ada Lee, born 1950-01-02");
});

test("a package is asked for with inline resources, the context and the forms that are named", () => {
  const request = packageRequest({ coverage: { resourceType: "Coverage" }, order: { resourceType: "DeviceRequest" }, context: "a-1", questionnaires: ["q|1"] });
  assert.deepEqual(request.parameter.map((one) => one.name), ["coverage", "order", "questionnaire", "context"]);
  assert.equal(packageRequest({ coverage: {}, order: {}, context: null, questionnaires: [] }).parameter.length, 2);
});

test("forms are found under both spellings, and in a bare Bundle", () => {
  const bundle = { resourceType: "Bundle", entry: ["Questionnaire", "QuestionnaireResponse", "ValueSet"].map((resourceType) => ({ resource: { resourceType } })) };
  for (const answer of [
    { resourceType: "Parameters", parameter: [{ name: "PackageBundle", resource: bundle }] },
    { resourceType: "Parameters", parameter: [{ name: "packagebundle", resource: bundle }] },
    bundle,
  ]) {
    const { forms } = packages(answer);
    assert.equal(forms.length, 1);
    assert.equal(forms[0].response.resourceType, "QuestionnaireResponse");
    assert.equal(forms[0].valueSets.length, 1);
  }
});

test("what the payer remarks beside the forms is kept", () => {
  const outcome = { resourceType: "OperationOutcome", issue: [{ details: { text: "nothing is needed" } }] };
  assert.deepEqual(packages({ resourceType: "Parameters", parameter: [{ name: "outcome", resource: outcome }] }), { forms: [], remarks: ["nothing is needed"] });
});

test("the newest draft of this form for this order is resumed, one of an older version is told apart", () => {
  const about = (reference) => [{ url: "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/qr-context", valueReference: { reference } }];
  const draft = (id, version, order, lastUpdated, status = "in-progress") => ({ id, status, questionnaire: `https://p/q|${version}`, extension: about(order), meta: { lastUpdated } });
  const { draft: found, outdated } = draftsFor({ url: "https://p/q", version: "2" }, { resourceType: "DeviceRequest", id: "o" }, [
    draft("old", 2, "DeviceRequest/o", "2026-01-01"), draft("new", 2, "DeviceRequest/o", "2026-02-01"),
    draft("other", 2, "DeviceRequest/x", "2026-03-01"), draft("done", 2, "DeviceRequest/o", "2026-04-01", "completed"),
    draft("earlier", 1, "DeviceRequest/o", "2026-05-01"),
  ]);
  assert.equal(found.id, "new");
  assert.deepEqual(outdated.map((one) => one.id), ["earlier"]);
});

test("a draft of an adaptive form is known by the form that its own is derived from", () => {
  const draft = {
    id: "a", status: "in-progress", questionnaire: "#f",
    contained: [{ resourceType: "Questionnaire", id: "f", derivedFrom: ["https://p/q|2"] }],
    extension: [{ url: "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/qr-context", valueReference: { reference: "DeviceRequest/o" } }],
  };
  const order = { resourceType: "DeviceRequest", id: "o" };
  assert.equal(draftsFor({ url: "https://p/q", version: "2" }, order, [draft]).draft.id, "a");
  assert.equal(draftsFor({ url: "https://p/q", version: "3" }, order, [draft]).draft, null);
});

test("the determination is read out of the answer to a response", () => {
  const answer = { parameter: [{ name: "response", resource: {} }, { name: "determination", valueString: '{"covered":"covered"}' }] };
  assert.deepEqual(determinationIn(answer), { determination: { covered: "covered" }, remarks: [] });
  assert.deepEqual(determinationIn({ parameter: [] }).determination, null);
});
