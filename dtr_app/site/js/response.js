// A QuestionnaireResponse: its answers, who gave each of them, and the resource as it is saved. Pure.

import { asks, sameValue, valueOf, walk } from "./items.js";

const DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition";
export const ORIGIN = `${DTR}/information-origin`;

/** Answers by linkId, wherever they stand; what an answer holds below itself is under its own linkId. */
export function answersOf(response) {
  const found = new Map();
  const read = (items = []) => {
    for (const item of items) {
      for (const answer of item.answer ?? []) {
        const { item: below, ...own } = answer;
        if (valueOf(own) !== null) found.set(item.linkId, [...(found.get(item.linkId) ?? []), own]);
        read(below);
      }
      read(item.item);
    }
  };
  read(response?.item);
  return found;
}

/** `auto`, `auto-server`, `auto-client`, `override`, `manual`, or undefined. */
export function originOf(answer) {
  const origin = answer?.extension?.find((one) => one.url === ORIGIN);
  return origin?.extension?.find((one) => one.url === "source")?.valueCode;
}

const isAuto = (answer) => originOf(answer)?.startsWith("auto") ?? false;

/** The linkIds whose answers were filled in from the record, and by nobody; with what was chosen there, in words. */
export function filledIn(answers) {
  const chosen = (given) => given.map((one) => one.valueCoding?.display).filter(Boolean).join(", ");
  return new Map([...answers].filter(([, given]) => given.every(isAuto)).map(([linkId, given]) => [linkId, chosen(given)]));
}

function withOrigin(answer, source, author) {
  const parts = [{ url: "source", valueCode: source }];
  if (author !== null) {
    const role = author.role ? [{ url: "role", valueCodeableConcept: author.role }] : [];
    parts.push({ url: "author", extension: [{ url: "practitioner", valueReference: author.practitioner }, ...role] });
  }
  const others = (answer.extension ?? []).filter((one) => one.url !== ORIGIN);
  return { ...answer, extension: [...others, { url: ORIGIN, extension: parts }] };
}

/** The answers of a form with who gave each: one that stands as it was keeps its origin; one that a person changed is an
 * override of what was filled in, or that person's own (DTR spec-137). `author`: {practitioner, role} or null. */
export function attributed(now, before, author) {
  const given = new Map();
  for (const [linkId, answers] of now) {
    const earlier = before.get(linkId) ?? [];
    given.set(linkId, answers.map((answer) => {
      const kept = earlier.find((one) => sameValue(one, answer));
      if (kept !== undefined && originOf(kept) !== undefined) {
        return { ...answer, extension: kept.extension };
      }
      const source = earlier.some((one) => isAuto(one) || originOf(one) === "override") ? "override" : "manual";
      return withOrigin(answer, source, author);
    }));
  }
  return given;
}

/** A saved draft and a fresh one as one: what a person wrote stays, all else is filled in anew (DTR spec-71 to 73). */
export function resumed(fresh, saved) {
  const [filled, kept] = [answersOf(fresh), answersOf(saved)];
  const merged = new Map(filled);
  for (const [linkId, answers] of kept) {
    const anew = filled.get(linkId);
    if (!answers.some(isAuto)) {
      const overrides = anew !== undefined && !answers.every((one) => anew.some((two) => sameValue(one, two)));
      merged.set(linkId, overrides ? answers.map(asOverride) : answers);
    } else if (anew === undefined) {
      merged.set(linkId, answers);
    }
  }
  return merged;
}

function asOverride(answer) {
  if (originOf(answer) !== "manual") return answer;
  const origin = answer.extension.find((one) => one.url === ORIGIN);
  const parts = origin.extension.map((one) => (one.url === "source" ? { ...one, valueCode: "override" } : one));
  return { ...answer, extension: answer.extension.map((one) => (one === origin ? { ...one, extension: parts } : one)) };
}

/** The items of a response in the nesting of its Questionnaire (FHIR R4: below a question stands below its answer).
 * `enabled` names the items that are asked; answers of others are left out. */
export function rebuilt(questionnaire, answers, enabled) {
  const build = (items = []) =>
    items.flatMap((item) => {
      if (!enabled.has(item.linkId) || item.type === "display") return [];
      const below = build(item.item);
      const own = { linkId: item.linkId, text: item.text };
      if (!asks(item)) return below.length > 0 ? [{ ...own, item: below }] : [];
      const given = answers.get(item.linkId) ?? [];
      if (given.length === 0 && below.length === 0) return [];
      // of a question that is open, what was found for it is kept: an answer without a value
      const [first, ...rest] = given.length > 0 ? given : [asOf(below)];
      return [{ ...own, answer: [below.length > 0 ? { ...first, item: below } : first, ...rest] }];
    });
  return build(questionnaire.item);
}

function asOf(below) {
  const origin = below.flatMap((one) => one.answer ?? []).flatMap((one) => one.extension ?? [])
    .find((one) => one.url === ORIGIN);
  return origin === undefined ? {} : { extension: [origin] };
}

/** The response for `shown(questionnaire)`: what stands below a question stands beside it. */
export function flatResponse(shownQuestionnaire, answers) {
  const build = (items = []) =>
    items.flatMap(({ linkId, type, item }) => {
      if (type === "group") return [{ linkId, item: build(item) }];
      const given = answers.get(linkId)?.map(({ extension: _, ...value }) => value);
      return given === undefined ? [] : [{ linkId, answer: given }];
    });
  return { resourceType: "QuestionnaireResponse", status: "in-progress", item: build(shownQuestionnaire.item) };
}

/** The response as it is saved: of the draft all that is about it (subject, coverage, order, intended use, profile), of
 * the form its answers. `author` is a Reference or null. */
export function written(draft, items, { status, authored, author, saved }) {
  const { item: _, id: __, meta, status: ___, authored: ____, ...about } = draft;
  const profile = meta?.profile ? { meta: { profile: meta.profile } } : {};
  const versioned = saved?.meta?.versionId;
  return {
    ...about,
    ...(saved?.id ? { id: saved.id } : {}),
    ...profile,
    ...(versioned ? { meta: { ...profile.meta, versionId: versioned } } : {}),
    status,
    authored,
    ...(author === null ? {} : { author }),
    item: items,
  };
}

// what was found for a question, papers, and the attestation are no questions of their own
const BESIDE = /\.(found|file)$|^form\./;

/** How many questions are asked, answered, and answered from the record. */
export function progress(questionnaire, answers, enabled) {
  const asked = [...walk(questionnaire.item)].map(({ item }) => item).filter(
    (item) => asks(item) && enabled.has(item.linkId) && !BESIDE.test(item.linkId) && item.type !== "attachment",
  );
  const answered = asked.filter((item) => answers.has(item.linkId));
  const automatic = answered.filter((item) => answers.get(item.linkId).every(isAuto));
  return { asked: asked.length, answered: answered.length, automatic: automatic.length };
}
