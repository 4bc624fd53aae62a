// What is said on the page beside the form: status, trouble, lists. Text goes in as text, never as HTML.

const byId = (id) => document.getElementById(id);

export function say(text) {
  byId("status").textContent = text;
}

export function show(id, shown = true) {
  byId(id).hidden = !shown;
}

export function element(name, { text, className, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

export function calm() {
  show("trouble", false);
}

/** A fault, with what can be done: `points` are `{text, go}`, `go` leads to the place on the page if there is one. */
export function refused(text, points = []) {
  const box = byId("trouble");
  const listed = points.map(({ text: point, go }) => {
    if (go === undefined) return element("li", { text: point });
    const link = element("a", { text: point, href: "#form" });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      go();
    });
    return element("li", {}, link);
  });
  box.replaceChildren(element("p", { text }), ...(listed.length > 0 ? [element("ul", {}, ...listed)] : []));
  show("trouble");
  box.focus();
  say("");
}

export function troubled(text, fault, points) {
  refused(text, points ?? (fault?.issues?.length ? fault.issues : [fault?.message ?? String(fault)]).map((one) => ({ text: one })));
}

/** A list to choose from; the promise is kept with the one that was chosen. */
export function chosen(title, entries) {
  byId("choice-title").textContent = title;
  show("choice");
  say("");
  return new Promise((choose) => {
    const buttons = entries.map(({ text, value }) => {
      const button = element("button", { text, type: "button", className: "second" });
      button.addEventListener("click", () => {
        show("choice", false);
        choose(value);
      });
      return element("li", {}, button);
    });
    byId("choices").replaceChildren(...buttons);
  });
}
