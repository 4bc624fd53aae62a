// $questionnaire-package: what is asked, and the forms that come back, in either spelling of the guide. Pure.

/** The Parameters of a call. `context` is the id of the payer's assertion about the order. */
export function packageRequest({ coverage, order, context, questionnaires, referenced = [] }) {
  const resources = [["coverage", coverage], ["order", order], ...referenced.map((one) => ["referenced", one])]
    .filter(([, resource]) => resource)
    .map(([name, resource]) => ({ name, resource }));
  const named = questionnaires.map((valueCanonical) => ({ name: "questionnaire", valueCanonical }));
  const known = context ? [{ name: "context", valueString: context }] : [];
  return { resourceType: "Parameters", parameter: [...resources, ...named, ...known] };
}

/** The forms of an answer, `{questionnaire, response, valueSets}`, and what the payer remarks. */
export function packages(answer) {
  const parts = answer?.resourceType === "Bundle" ? [{ name: "packagebundle", resource: answer }] : answer?.parameter ?? [];
  const forms = parts
    .filter((one) => one.resource?.resourceType === "Bundle")
    .map((one) => formOf(one.resource))
    .filter((one) => one.questionnaire !== undefined);
  const remarks = parts.filter((one) => one.resource?.resourceType === "OperationOutcome");
  return { forms, remarks: remarks.flatMap((one) => issuesOf(one.resource)) };
}

function formOf(bundle) {
  const all = (bundle.entry ?? []).map((one) => one.resource);
  const ofType = (type) => all.filter((one) => one?.resourceType === type);
  const [questionnaire] = ofType("Questionnaire");
  const [response] = ofType("QuestionnaireResponse");
  return { questionnaire, response, valueSets: ofType("ValueSet") };
}

/** The texts of an OperationOutcome. */
export function issuesOf(outcome) {
  return (outcome?.issue ?? []).map((one) => one.details?.text ?? one.diagnostics ?? one.code);
}

export function canonicalOf(questionnaire) {
  return questionnaire.version ? `${questionnaire.url}|${questionnaire.version}` : questionnaire.url;
}

const CONTEXT_OF_RESPONSE = new Set(["qr-context", "context"]);

/** The draft of this form for this order that was saved last, and those of another version of the form. */
export function draftsFor(questionnaire, order, responses) {
  const isOf = (one) => answered(one).split("|")[0] === questionnaire.url && isAbout(one, order);
  const drafts = responses.filter((one) => one.status === "in-progress" && isOf(one));
  drafts.sort((a, b) => (b.meta?.lastUpdated ?? b.authored ?? "").localeCompare(a.meta?.lastUpdated ?? a.authored ?? ""));
  const current = drafts.filter((one) => answered(one) === canonicalOf(questionnaire));
  return { draft: current[0] ?? null, outdated: drafts.filter((one) => !current.includes(one)) };
}

/** The canonical of the form that a response answers: an adaptive one carries a form that is derived from it. */
function answered(response) {
  const named = response.questionnaire ?? "";
  return named.startsWith("#") ? carriedBy(response)?.derivedFrom?.[0] ?? "" : named;
}

/** The Questionnaire that an adaptive response carries. */
export function carriedBy(response) {
  return response?.contained?.find((one) => one.resourceType === "Questionnaire");
}

function isAbout(response, order) {
  const about = (response.extension ?? [])
    .filter((one) => CONTEXT_OF_RESPONSE.has(one.url?.split("/").at(-1)))
    .map((one) => one.valueReference?.reference?.split("/").slice(-2).join("/"));
  return about.includes(`${order.resourceType}/${order.id}`);
}

/** The determination in the answer to a response that was sent, and what is remarked beside it. */
export function determinationIn(parameters) {
  const parts = parameters?.parameter ?? [];
  const text = parts.find((one) => one.name === "determination")?.valueString;
  const remarks = parts.filter((one) => one.name === "outcome").flatMap((one) => issuesOf(one.resource));
  return { determination: text === undefined ? null : JSON.parse(text), remarks };
}
