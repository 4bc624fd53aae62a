// Fills forms as two kinds of client would. Reads one JSON object from stdin: packages and charts; writes, for each
// chart, the texts by linkId: { cql, fhirpath }. x-fhir-query is answered from the chart by a few lines at the end.

import { readFileSync } from "node:fs";
import cql from "cql-execution";
import cqlFhir from "cql-exec-fhir";
import fhirpath from "fhirpath";
import r4 from "fhirpath/fhir-context/r4/index.js";

const INITIAL = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-initialExpression";
const VARIABLE = "http://hl7.org/fhir/StructureDefinition/variable";
const { libraries, valueSets, forms, charts } = JSON.parse(readFileSync(0, "utf8"));

const sets = new Map(valueSets.map((one) => [one.url, one.expansion.contains]));
const codes = {};
for (const [url, contains] of sets) {
  codes[url] = { 1: contains.map(({ system, code }) => ({ system, code })) };
}

function initials(items) {
  return (items ?? []).flatMap((item) => {
    const found = (item.extension ?? []).find((one) => one.url === INITIAL);
    const own = found === undefined ? [] : [[item.linkId, found.valueExpression]];
    return [...own, ...initials(item.item)];
  });
}

// -- a client that runs CQL: the ELM of the package, its libraries by name

const executors = new Map();

function executorOf({ library, version }) {
  const key = `${library}|${version}`;
  if (!executors.has(key)) {
    const repository = new cql.Repository(Object.fromEntries(libraries.map((one, n) => [`${n}`, one])));
    const own = libraries.find(({ library: { identifier } }) => `${identifier.id}|${identifier.version}` === key);
    executors.set(key, new cql.Executor(new cql.Library(own, repository), new cql.CodeService(codes)));
  }
  return executors.get(key);
}

async function byCql(form, chart) {
  const wanted = initials(form.item);
  const source = cqlFhir.PatientSource.FHIRv401();
  source.loadBundles([{ resourceType: "Bundle", type: "collection", entry: chart.map((resource) => ({ resource })) }]);
  const results = await executorOf(form).exec(source);
  const [patient] = Object.values(results.patientResults);
  return Object.fromEntries(wanted.map(([linkId, { expression }]) => [linkId, patient[expression.split(".").at(-1)] ?? null]));
}

// -- a client that runs FHIRPath: the variables of the root in their order, then the items

const compiled = new Map();

function evaluated(expression, known) {
  if (!compiled.has(expression)) compiled.set(expression, fhirpath.compile(expression, r4));
  return compiled.get(expression)({}, known);
}

function byFhirpath(form, chart) {
  const patient = chart.find((one) => one.resourceType === "Patient");
  const known = { patient };
  for (const { url, valueExpression } of form.extension) {
    if (url !== VARIABLE) continue;
    const { name, language, expression } = valueExpression;
    known[name] = language === "application/x-fhir-query" ? searched(expression, chart, known) : evaluated(expression, known);
  }
  const told = ([linkId, { expression }]) => [linkId, evaluated(expression, known)[0] ?? null];
  return Object.fromEntries(initials(form.item).map(told));
}

function searched(query, chart, known) {
  const filled = query.replace(/\{\{(.*?)\}\}/g, (_, expression) => evaluated(expression, known).join(","));
  const [type, rest] = filled.split("?");
  const parameters = rest.split("&").map((one) => one.split(/=(.*)/s).slice(0, 2));
  let found = chart.filter((one) => one.resourceType === type);
  for (const [name, value] of parameters) {
    if (name === "patient") found = found.filter((one) => (one.subject ?? one.patient).reference === `Patient/${value}`);
    else if (name === "_sort") found = sorted(found, value);
    else if (name.endsWith(":in")) found = coded(found, members(value));
    else found = coded(found, new Set(value.split(",")));
  }
  return { resourceType: "Bundle", type: "searchset", entry: found.map((resource) => ({ resource })) };
}

const wantedBySet = new Map();

function members(url) {
  if (!wantedBySet.has(url)) wantedBySet.set(url, new Set(sets.get(url).map((one) => `${one.system}|${one.code}`)));
  return wantedBySet.get(url);
}

function coded(found, wanted) {
  const concept = (one) => one.resourceType === "DocumentReference" ? one.type : (one.code ?? one.codeCodeableConcept);
  return found.filter((one) => (concept(one)?.coding ?? []).some(({ system, code }) => wanted.has(`${system}|${code}`)));
}

// FHIR R4, the paths of the parameters that the queries sort by; what has no date comes last
const DATED = {
  "recorded-date": (one) => one.recordedDate,
  date: (one) => one.effectiveDateTime ?? one.effectiveInstant ?? one.effectivePeriod?.start ?? one.date,
  authored: (one) => one.authoredOn,
  "authored-on": (one) => one.authoredOn,
};

function sorted(found, value) {
  const when = (one) => Date.parse(DATED[value.slice(1)](one) ?? "") || -Infinity;
  return [...found].sort((one, other) => (when(other) > when(one) ? 1 : when(other) < when(one) ? -1 : 0));
}

const answers = [];
for (const { form: name, resources } of charts) {
  const { cql: inCql, fhirpath: inFhirpath } = forms[name];
  answers.push({ cql: await byCql(inCql, resources), fhirpath: byFhirpath(inFhirpath, resources) });
}
process.stdout.write(JSON.stringify(answers));
