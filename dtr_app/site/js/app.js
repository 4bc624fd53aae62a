// /dtr/: from a launch to a determination. Reads from top to bottom; what can be decided without a page is in the others.

import { attributed, answersOf, progress, rebuilt, resumed, written } from "./response.js";
import { assertionFor, assertionsOf, isOf, launched, orderWords, personWords } from "./context.js";
import { authorOf, found, kept, ordersWithForms, read } from "./ehr.js";
import { calm, chosen, element, refused, say, show, troubled } from "./page.js";
import { canonicalOf, carriedBy, determinationIn, draftsFor, packageRequest, packages } from "./package.js";
import { determinationView, headline } from "./determination.js";
import { enabledLinks, lacking, walk } from "./items.js";
import { faults, given, goTo, rendered } from "./form.js";
import { faultyForm, nextQuestion, questionnairePackage, Refused, sent } from "./service.js";

const byId = (id) => document.getElementById(id);
const ADAPTIVE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-questionnaireAdaptive";

/** What the form on the page is about; set once it is shown. `before` are the answers as they were filled in. */
let at = null;

async function begun() {
  const returning = new URLSearchParams(location.search);
  if (returning.get("error")) {
    refused(`The health record did not let you in: ${returning.get("error_description") ?? returning.get("error")}`);
    return show("start");
  }
  let client;
  try {
    client = await FHIR.oauth2.ready();
  } catch {
    say("");
    return show("start");
  }
  if (!client.patient?.id) return refused("The sign-in named no patient: open this page from a patient's order.");
  say("Reading the order…");
  const about = await situation(client);
  if (about === null) return undefined;
  byId("about").textContent = `${personWords(about.patient)}: ${orderWords(about.order)}`;
  show("about");
  say("Asking the payer for its questions…");
  return asked(about, await formsFor(about));
}

/** The patient, the order, the coverage and who answers; null where it was said what is lacking. */
async function situation(client) {
  const start = launched(client.state.tokenResponse);
  const [patient, author] = await Promise.all([client.patient.read(), authorOf(client)]);
  const saved = start.response ? await read(client, start.response) : null;
  const order = await orderOf(client, start, saved);
  if (order === null) {
    refused("No order of this patient waits for a payer's questions: sign the order first, so that the payer is asked.");
    return null;
  }
  if (!isOf(order, patient.id)) {
    refused("The order is of another patient than the one whose record is open.");
    return null;
  }
  const assertion = assertionFor(order, start.coverage) ?? assertionsOf(order)[0] ?? null;
  const coverage = await coverageOf(client, start.coverage ?? assertion?.coverage);
  if (coverage === null) {
    refused("No active coverage of this patient is on record.");
    return null;
  }
  return {
    client, patient, author, order, coverage,
    context: start.context ?? assertion?.id ?? null,
    questionnaires: start.questionnaires,
  };
}

async function orderOf(client, start, saved) {
  const named = start.order ?? saved?.extension?.find((one) => one.url?.endsWith("/qr-context"))?.valueReference?.reference;
  if (named) return read(client, named);
  const orders = await ordersWithForms(client);
  if (orders.length < 2) return orders[0] ?? null;
  return chosen("Which order is it about?", orders.map((one) => ({ text: orderWords(one), value: one })));
}

async function coverageOf(client, reference) {
  if (reference) return read(client, reference);
  const all = await found(client, "Coverage", { patient: client.patient.id, status: "active" });
  if (all.length < 2) return all[0] ?? null;
  const words = (one) => one.payor?.[0]?.display ?? one.class?.[0]?.name ?? `Coverage/${one.id}`;
  return chosen("Which coverage is it about?", all.map((one) => ({ text: words(one), value: one })));
}

async function formsFor({ client, order, coverage, context, questionnaires }, way = "standard") {
  const payors = (coverage.payor ?? []).map((one) => one.reference).filter((one) => one && !one.startsWith("#"));
  const organizations = await Promise.all(payors.map((one) => read(client, one).catch(() => null)));
  const request = packageRequest({ coverage, order, context, questionnaires, referenced: organizations.filter(Boolean) });
  const { forms, remarks } = packages(await questionnairePackage(request, way));
  if (forms.length === 0) {
    refused("The payer has no questions about this order.", remarks.map((text) => ({ text })));
  }
  return forms;
}

/** One form after the other: all that come back are to be completed, in any order (DTR, OperationDefinition notes). */
async function asked(about, forms) {
  if (forms.length === 0) return;
  const title = (one) => one.questionnaire.title ?? canonicalOf(one.questionnaire);
  const form = forms.length === 1
    ? forms[0]
    : await chosen("Which form first?", forms.map((one) => ({ text: title(one), value: one })));
  await opened(about, form);
  const rest = forms.filter((one) => one !== form);
  byId("another").onclick = () => {
    show("result", false);
    during(() => asked(about, rest));
  };
  show("another", rest.length > 0);
}

async function opened(about, { questionnaire, response, valueSets }) {
  const { client, order } = about;
  const saved = await found(client, "QuestionnaireResponse", { patient: client.patient.id, status: "in-progress" });
  const { draft, outdated } = draftsFor(questionnaire, order, saved);
  for (const old of outdated) await stopped(client, old);
  const adaptive = ((carriedBy(draft) ?? questionnaire).extension ?? []).find((one) => one.url === ADAPTIVE);
  at = {
    ...about, questionnaire, draft: response, valueSets, saved: draft, isChanged: false,
    isAdaptive: adaptive !== undefined, asksAt: adaptive?.valueUrl ?? "",
  };
  show("ways", draft === null && !at.isAdaptive);
  byId("title").textContent = questionnaire.title ?? "Payer questions";
  document.title = byId("title").textContent;
  if (at.isAdaptive) return advanced(draft ?? response);
  await shownWith(draft === null ? answersOf(response) : resumed(response, draft));
  if (outdated.length > 0) say("The payer has a newer version of this form: the draft of the older one was closed.");
}

/** The same form, asked step by step; what was written so far would be lost, so it is offered before anything is. */
async function stepByStep() {
  const { questionnaire } = at;
  const forms = await formsFor(at, "adaptive");
  const same = forms.find((one) => one.questionnaire.url === questionnaire.url);
  if (same !== undefined) await opened(at, same);
}

/** DTR spec-123: a draft of a form that the payer no longer uses is ended, not completed. */
async function stopped(client, response) {
  await kept(client, { ...response, status: "stopped" }).catch(() => undefined);
}

async function shownWith(answers) {
  at.before = answers;
  try {
    await rendered("form", at.questionnaire, at.valueSets, answers);
  } catch (fault) {
    faultyForm(at.questionnaire, fault);
    throw new Error("This form cannot be shown here. The payer was told; ask it for another way to answer.");
  }
  show("asking");
  show("next", at.isAdaptive && !at.isLast);
  show("complete", !at.isAdaptive || at.isLast);
  told(answers);
  at.isChanged = false;
  say(at.saved === null ? "" : "Your saved draft was opened again.");
}

function told(answers) {
  if (at.isAdaptive && !at.isLast) {
    byId("prefilled").textContent = "Look at what was found, change what is wrong, and leave open what you do not know.";
    return;
  }
  const { asked: all, answered, automatic } = progress(at.questionnaire, answers, enabledLinks(at.questionnaire, answers));
  const open = all - answered;
  byId("prefilled").textContent =
    `${automatic === 0 ? "None" : automatic} of ${all} questions ${automatic > 1 ? "are" : "is"} answered from the record; ` +
    `${open === 0 ? "none is" : `${open} ${open === 1 ? "is" : "are"}`} open. ` +
    "Look at what was found, change what is wrong, and leave open what you do not know.";
}

// -- adaptive forms: the payer asks further, depending on what was answered ---------------------------------------

async function advanced(response) {
  say("Asking the payer what comes next…");
  const before = at.before ?? new Map();
  const asking = response.contained?.length ? response : { ...response, ...containing(at.questionnaire) };
  const reply = await nextQuestion(asking, at.asksAt);
  at.draft = reply.resourceType === "Parameters" ? reply.parameter.find((one) => one.name === "return").resource : reply;
  at.questionnaire = carriedBy(at.draft);
  at.isLast = at.draft.status === "completed";
  await shownWith(new Map([...before, ...answersOf(at.draft)]));
  if (at.isLast) say("These were all questions. Look them over, and send them.");
}

function containing(questionnaire) {
  const id = questionnaire.id ?? "form";
  return {
    questionnaire: `#${id}`,
    contained: [{ ...questionnaire, id, derivedFrom: questionnaire.derivedFrom ?? [canonicalOf(questionnaire)] }],
  };
}

// -- saving -------------------------------------------------------------------------------------------------------

/** The response as the page stands, or null where it was said what is wrong. */
function composed(status) {
  const answers = attributed(given(), at.before, at.author);
  const enabled = enabledLinks(at.questionnaire, answers);
  if (status === "completed" && !isSound(answers)) return null;
  told(answers);
  const author = at.author === null ? null : { reference: at.author.reference };
  const about = { status, authored: new Date().toISOString(), author, saved: at.saved };
  return written(at.draft, rebuilt(at.questionnaire, answers, enabled), about);
}

function isSound(answers) {
  const open = lacking(at.questionnaire, answers).map(({ linkId, text }) => ({ text, go: () => goTo(linkId) }));
  const wrong = faults().map((text) => ({ text }));
  if (open.length > 0) {
    refused(open.length === 1 ? "One question has to be answered:" : `${open.length} questions have to be answered:`, open);
  } else if (wrong.length > 0) {
    refused("Something cannot be read:", wrong);
  }
  return open.length === 0 && wrong.length === 0;
}

async function saveDraft() {
  const response = composed("in-progress");
  say("Saving…");
  at.saved = await kept(at.client, response);
  at.before = answersOf(at.saved);
  at.isChanged = false;
  say("The draft is saved in the health record. You can close this page and go on later.");
}

/** First the payer reads it, then it is completed in the record: what the payer refuses stays a draft there. Where the
 * payer cannot be reached the record has it all the same, and the next signing of the order finds it. */
async function complete() {
  const response = composed("completed");
  if (response === null) return;
  say("Sending…");
  at.saved = await kept(at.client, { ...response, status: "in-progress" });
  const numbered = { ...response, id: at.saved.id, ...(at.saved.meta ? { meta: { ...response.meta, ...versionOf(at.saved) } } : {}) };
  const reply = await toPayer(numbered);
  if (reply === null) return;
  at.saved = await kept(at.client, numbered);
  at.isChanged = false;
  shownResult(reply);
}

const versionOf = (saved) => (saved.meta?.versionId ? { versionId: saved.meta.versionId } : {});

/** The payer's answer; `{unsent}` where it could not be reached; null where it refused, which is then said. */
async function toPayer(response) {
  try {
    return determinationIn(await sent(response, at.context));
  } catch (fault) {
    if (fault instanceof Refused && fault.status < 500) {
      refused("The payer cannot take these answers yet. They are saved as a draft.", fault.issues.map(placed));
      return null;
    }
    return { determination: null, remarks: [], unsent: true };
  }
}

/** A fault that names a question leads to it. */
function placed(text) {
  const links = [...walk(at.questionnaire.item)].map(({ item }) => item.linkId).filter((one) => text.includes(one));
  const longest = links.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? { text } : { text, go: () => goTo(longest) };
}

function shownResult({ determination, remarks, unsent }) {
  show("asking", false);
  calm();
  byId("result-title").textContent = determination === null
    ? "Your answers are saved in the health record"
    : headline(determination);
  const notes = unsent ? ["The payer could not be reached. It reads them from the record when the order is signed again."] : remarks;
  byId("determination").replaceChildren(
    ...(determination === null ? [] : determinationView(determination, at.questionnaire)),
    ...notes.map((text) => element("p", { text })),
  );
  show("result");
  say("Saved in the health record." + (unsent ? "" : " Sent to the payer."));
  byId("result-title").focus();
}

// -- the page -----------------------------------------------------------------------------------------------------

/** One thing at a time: buttons rest while something is under way, and what goes wrong is said. */
async function during(work) {
  const buttons = ["save", "complete", "next", "stepwise"].map(byId);
  if (buttons.some((one) => one.disabled)) return;
  for (const one of buttons) one.disabled = true;
  calm();
  try {
    await work();
  } catch (fault) {
    const isElsewhere = [409, 412].includes(fault?.statusCode ?? fault?.status);
    troubled(
      isElsewhere ? "This draft was changed elsewhere since it was opened." : "That did not work; nothing is lost on this page.",
      fault,
      isElsewhere ? [{ text: "Open this page again to go on with the newer draft." }] : undefined,
    );
  } finally {
    for (const one of buttons) one.disabled = false;
  }
}

byId("stepwise").addEventListener("click", () => during(stepByStep));
byId("save").addEventListener("click", () => during(saveDraft));
byId("complete").addEventListener("click", () => during(complete));
byId("next").addEventListener("click", () => during(async () => {
  const response = composed("completed");
  if (response !== null) await advanced({ ...response, status: "in-progress" });
}));
for (const kind of ["input", "change"]) {
  byId("form").addEventListener(kind, () => {
    if (at === null) return;
    at.isChanged = true;
    show("ways", false);
  });
}
addEventListener("beforeunload", (event) => {
  if (at?.isChanged) event.preventDefault();
});

during(begun);
