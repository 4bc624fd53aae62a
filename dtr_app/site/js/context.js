// What a launch is about: the order, the coverage, an earlier response, and what the payer said of the order. Pure.

export const ORDER_TYPES = [
  "Appointment", "CommunicationRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder", "ServiceRequest",
  "VisionPrescription",
];

const typeOf = (reference) => reference?.split("/").at(-2);

/** The references of a launch: SMART's fhirContext first, then appContext as the DTR card writes it. */
export function launched(tokenResponse) {
  const listed = (tokenResponse?.fhirContext ?? []).map((one) => (typeof one === "string" ? one : one?.reference));
  const said = new URLSearchParams(appContext(tokenResponse));
  const references = [...listed, said.get("order"), said.get("coverage"), said.get("response")].filter(Boolean);
  const first = (...types) => references.find((one) => types.includes(typeOf(one))) ?? null;
  return {
    order: first(...ORDER_TYPES),
    coverage: first("Coverage"),
    response: first("QuestionnaireResponse"),
    context: said.get("context"),
    questionnaires: said.getAll("questionnaire"),
  };
}

function appContext(tokenResponse) {
  const text = tokenResponse?.appContext;
  if (typeof text !== "string") return "";
  // some EHRs hand it on as they escaped it
  return text.includes("=") ? text : decodeURIComponent(text);
}

const COVERAGE_INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";

/** What coverage-information on an order says: its coverage, the assertion's id, the forms that it names. */
export function assertionsOf(order) {
  return (order?.extension ?? [])
    .filter((one) => one.url === COVERAGE_INFORMATION)
    .map(({ extension = [] }) => {
      const all = (url) => extension.filter((one) => one.url === url);
      return {
        coverage: all("coverage")[0]?.valueReference?.reference ?? null,
        id: all("coverage-assertion-id")[0]?.valueString ?? null,
        questionnaires: all("questionnaire").map((one) => one.valueCanonical).filter(Boolean),
      };
    });
}

/** The assertion that this launch is about: of the launch's coverage if it names one, with a form if any has one. */
export function assertionFor(order, coverage) {
  const all = assertionsOf(order).filter((one) => coverage === null || sameReference(one.coverage, coverage));
  return all.find((one) => one.questionnaires.length > 0) ?? all[0] ?? null;
}

export function sameReference(one, other) {
  const tail = (text) => text?.split("/_history/")[0].split("/").slice(-2).join("/");
  return Boolean(one) && tail(one) === tail(other);
}

/** Whether a resource is the patient's, or says of nobody that it is theirs. */
export function isOf(resource, patientId) {
  const owner = (resource.subject ?? resource.patient ?? resource.beneficiary)?.reference;
  return owner === undefined || sameReference(owner, `Patient/${patientId}`);
}

const RELATIVE = /^[A-Za-z]+\/[A-Za-z0-9.-]+(\/_history\/[A-Za-z0-9.-]+)?$/;

/** The path of a reference below a FHIR server; null where it leads elsewhere, where the token is not to go. */
export function below(serverUrl, reference) {
  if (RELATIVE.test(reference)) return reference;
  const base = `${serverUrl.replace(/\/$/, "")}/`;
  const rest = reference.startsWith(base) ? reference.slice(base.length) : "";
  return RELATIVE.test(rest) ? rest : null;
}

/** What is ordered, in words. */
export function orderWords(order) {
  const concept = order.codeCodeableConcept ?? order.code ?? order.medicationCodeableConcept ?? order.serviceType?.[0];
  const coding = concept?.coding?.[0];
  return concept?.text ?? coding?.display ?? coding?.code ?? `${order.resourceType}/${order.id}`;
}

export function personWords(patient) {
  const name = patient.name?.find((one) => one.use === "official") ?? patient.name?.[0];
  const words = name?.text ?? [...(name?.given ?? []), name?.family].filter(Boolean).join(" ");
  return [words || "Patient without a name", patient.birthDate && `born ${patient.birthDate}`].filter(Boolean).join(", ");
}
