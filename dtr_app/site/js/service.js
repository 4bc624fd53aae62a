// The calls to the payer's service that this page comes from.

import { canonicalOf, issuesOf } from "./package.js";

const BASE = new URL("../", new URL("./", location.href));

/** A call that was refused: the status, and what the service says is to be mended. */
export class Refused extends Error {
  constructor(status, issues) {
    super(issues.join(" ") || `the service answered ${status}`);
    this.status = status;
    this.issues = issues;
  }
}

async function answered(reply) {
  const body = await reply.json().catch(() => null);
  if (!reply.ok) throw new Refused(reply.status, issuesOf(body));
  return body;
}

/** How this page is registered at an EHR. Refused where the service does not know the EHR. */
export async function ehrSettings(iss) {
  return answered(await fetch(new URL(`dtr/ehr?${new URLSearchParams({ iss })}`, BASE)));
}

async function posted(path, resource) {
  const headers = { "Content-Type": "application/fhir+json", Accept: "application/fhir+json" };
  return answered(await fetch(new URL(path, BASE), { method: "POST", headers, body: JSON.stringify(resource) }));
}

// what this page is written for; the guide has no header that says it
const VERSION = "dtr-version=2.2";

/** `form`: standard, all questions at once, or adaptive, one step after the other. */
export const questionnairePackage = (parameters, form) =>
  posted(`fhir/Questionnaire/$questionnaire-package?${VERSION}&form=${form}`, parameters);

/** `address` is the one that the form gives: below it the payer knows what the questions are about. */
export function nextQuestion(response, address) {
  // below our own base: by whatever name the service calls itself, this page may call no other origin
  const [, below = ""] = address.split(/\/fhir(?=\/|$)/);
  return posted(`fhir${below}/Questionnaire/$next-question?${VERSION}`, response);
}
/** Tells the payer that a form of its cannot be shown (DTR, spec-78). No answer and no patient is in it, and it is not
 * waited for. */
export function faultyForm(questionnaire, fault) {
  const issue = [{ severity: "error", code: "exception", diagnostics: `cds-service DTR app: ${fault?.name ?? "fault"} while it was shown` }];
  const parameter = [
    { name: "questionnaire", valueCanonical: canonicalOf(questionnaire) },
    { name: "operationOutcome", resource: { resourceType: "OperationOutcome", issue } },
  ];
  return posted("fhir/Questionnaire/$log-questionnaire-errors", { resourceType: "Parameters", parameter }).catch(() => undefined);
}

/** `context` is the id of the payer's assertion that the response belongs to, where it is known. */
export function sent(response, context) {
  return posted(`fhir/QuestionnaireResponse${context ? `?${new URLSearchParams({ context })}` : ""}`, response);
}
