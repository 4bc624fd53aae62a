// A Questionnaire's items: walked, asked of answers, and rewritten for LHC-Forms. Pure.

/** Every item with its parent, in the order of the form. */
export function* walk(items = [], parent = null) {
  for (const item of items) {
    yield { item, parent };
    yield* walk(item.item, item);
  }
}

export const asks = (item) => item.type !== "group" && item.type !== "display";

/** The one value of an answer, without its extensions: `[element, value]`, or null. */
export function valueOf(answer) {
  const name = Object.keys(answer ?? {}).find((one) => one.startsWith("value"));
  return name === undefined ? null : [name, answer[name]];
}

/** Whether two answers say the same. Codes are compared, displays are not: two programs word them in two ways. */
export function sameValue(one, other) {
  const [a, b] = [valueOf(one), valueOf(other)];
  if (a === null || b === null) return a === b;
  return a[0] === b[0] && canonical(a[1]) === canonical(b[1]);
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const isCoded = "code" in value;
  const names = Object.keys(value).filter((name) => !(isCoded && name === "display")).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}

/** Whether an item is asked, given the answers by linkId (FHIR R4, Questionnaire.item.enableWhen). */
export function isEnabled(item, answers) {
  const conditions = item.enableWhen ?? [];
  if (conditions.length === 0) return true;
  const holds = conditions.map((condition) => holdsIn(condition, answers.get(condition.question) ?? []));
  return item.enableBehavior === "any" ? holds.some(Boolean) : holds.every(Boolean);
}

function holdsIn(condition, given) {
  const name = Object.keys(condition).find((one) => one.startsWith("answer"));
  const wanted = { [name.replace("answer", "value")]: condition[name] };
  const values = given.filter((one) => valueOf(one) !== null);
  switch (condition.operator) {
    case "exists":
      return values.length > 0 === condition[name];
    case "=":
      return values.some((one) => sameValue(one, wanted));
    case "!=":
      return values.length > 0 && !values.some((one) => sameValue(one, wanted));
    default:
      return values.some((one) => compared(condition.operator, valueOf(one)[1], condition[name]));
  }
}

function compared(operator, value, wanted) {
  const [a, b] = [value?.value ?? value, wanted?.value ?? wanted];
  return { ">": a > b, "<": a < b, ">=": a >= b, "<=": a <= b }[operator] ?? false;
}

/** The linkIds that are asked under these answers: an item under one that is not asked is not asked either. */
export function enabledLinks(questionnaire, answers) {
  const enabled = new Set();
  for (const { item, parent } of walk(questionnaire.item)) {
    if ((parent === null || enabled.has(parent.linkId)) && isEnabled(item, answers)) enabled.add(item.linkId);
  }
  return enabled;
}

/** What is asked, required and not answered yet: `{linkId, text}` in the order of the form. */
export function lacking(questionnaire, answers) {
  const enabled = enabledLinks(questionnaire, answers);
  return [...walk(questionnaire.item)]
    .map(({ item }) => item)
    .filter((item) => asks(item) && item.required && enabled.has(item.linkId))
    .filter((item) => !(answers.get(item.linkId) ?? []).some((one) => valueOf(one) !== null))
    .map(({ linkId, text }) => ({ linkId, text }));
}

const ITEM_CONTROL = "http://hl7.org/fhir/StructureDefinition/questionnaire-itemControl";
const CONTROLS = "http://hl7.org/fhir/questionnaire-item-control";
const ORIENTATION = "http://hl7.org/fhir/StructureDefinition/questionnaire-choiceOrientation";
const MOST_BUTTONS = 8;
// Worked out by the server before the form comes here; of CQL, LHC-Forms would show what is not to be shown
const WORKED_OUT = new Set(
  ["launchContext", "itemPopulationContext", "initialExpression", "candidateExpression", "contextExpression"].map(
    (name) => `http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-${name}`,
  ).concat("http://hl7.org/fhir/StructureDefinition/variable", "http://hl7.org/fhir/StructureDefinition/cqf-library"),
);

/** The Questionnaire as LHC-Forms is to show it: value sets inside, few choices as buttons, and what is asked below a
 * question beside it. LHC-Forms keeps what stands below a question only while the question itself is answered: what
 * was found for an open question would be lost. `rebuilt` in response.js is the way back. `filledIn` is what comes
 * from the record, by linkId, in words: that is said beside the question, and stays true where a person changes the answer. */
export function shown(questionnaire, valueSets = [], filledIn = new Map()) {
  const contained = new Map();
  const said = (item) => {
    if (!filledIn.has(item.linkId)) return item;
    const words = filledIn.get(item.linkId);
    return { ...item, text: `${item.text} (filled in from the record${words ? `: ${words}` : ""})` };
  };
  const items = flattened(questionnaire.item, (item) =>
    forButtons(withSet(said(item), (canonical) => containedSet(canonical, valueSets, contained))),
  );
  return {
    ...questionnaire,
    extension: withoutWorkedOut(questionnaire.extension),
    contained: [...(questionnaire.contained ?? []), ...contained.values()],
    item: items,
  };
}

function flattened(items = [], written) {
  return items.flatMap((item) => {
    const own = written({ ...item, extension: withoutWorkedOut(item.extension) });
    if (item.item === undefined) return [own];
    if (!asks(item)) return [{ ...own, item: flattened(item.item, written) }];
    const help = item.item.filter((one) => one.type === "display" && one.enableWhen === undefined);
    const below = item.item.filter((one) => !help.includes(one));
    const { item: _, ...alone } = own;
    const beside = flattened(below, written).map((one) => conditioned(one, item));
    return [help.length > 0 ? { ...alone, item: help } : alone, ...beside];
  });
}

/** What stood below a question that is itself asked under a condition keeps that condition beside it. */
function conditioned(child, parent) {
  if (parent.enableWhen === undefined) return child;
  if (child.enableWhen === undefined) {
    return { ...child, enableWhen: parent.enableWhen, enableBehavior: parent.enableBehavior ?? "all" };
  }
  const all = [parent, child].every((one) => one.enableBehavior !== "any" || one.enableWhen.length === 1);
  // "any" of two lists is not one list: the child's own condition is shown, and `rebuilt` holds it to both
  return all ? { ...child, enableWhen: [...parent.enableWhen, ...child.enableWhen], enableBehavior: "all" } : child;
}

function withoutWorkedOut(extensions = []) {
  return extensions.filter(
    (one) => !WORKED_OUT.has(one.url) && !one.valueExpression?.language?.startsWith("text/cql"),
  );
}

function withSet(item, setFor) {
  if (item.answerValueSet === undefined || item.answerValueSet.startsWith("#")) return item;
  const id = setFor(item.answerValueSet);
  return id === null ? { ...item, type: "string", answerValueSet: undefined } : { ...item, answerValueSet: `#${id}` };
}

function containedSet(canonical, valueSets, contained) {
  const [url, version] = canonical.split("|");
  const found = valueSets.find((one) => one.url === url && (version === undefined || one.version === version));
  if (found?.expansion === undefined) return null;
  if (!contained.has(canonical)) contained.set(canonical, { ...found, id: found.id ?? `vs-${contained.size + 1}` });
  return contained.get(canonical).id;
}

function forButtons(item) {
  const said = item.extension.some((one) => one.url === ITEM_CONTROL);
  const few = (item.answerOption?.length ?? Infinity) <= MOST_BUTTONS;
  if (item.type !== "choice" || said || !few) return item;
  const code = item.repeats ? "check-box" : "radio-button";
  const control = { url: ITEM_CONTROL, valueCodeableConcept: { coding: [{ system: CONTROLS, code }] } };
  return { ...item, extension: [...item.extension, control, { url: ORIENTATION, valueCode: "vertical" }] };
}
