// What lies over the page: the shortcuts, and the question for a token.

import { h } from "./dom.js";

const open = (element) => {
  if (!element.open) element.showModal();
};

/** Keyboard shortcuts: of the page, and of the view that is shown. */
export function helpDialog({ views, own = [], close }) {
  const rows = (list) => h("dl", { class: "shortcuts" }, list.map(([keys, what]) => h("div", { key: what },
    h("dt", null, keys.map((key, index) => [index > 0 && " ", h("kbd", { key: `${key}${index}` }, key)])), h("dd", null, what))));
  return h("dialog", { key: "help", class: "help", attached: open, onclose: close, onclick: (event) => { if (event.target === event.currentTarget) event.target.close(); }, "aria-labelledby": "help-title" },
    h("div", { class: "dialog-body" },
      h("div", { class: "section-head" }, h("h2", { id: "help-title" }, "Keyboard shortcuts"),
        h("div", { class: "side" }, h("button", { type: "button", onclick: (event) => event.target.closest("dialog").close() }, "Close"))),
      h("div", { class: "help-columns" },
        h("div", null, h("h3", null, "Go to"), rows(views.map((each) => [["g", each.key], each.name]))),
        h("div", null, h("h3", null, "Anywhere"), rows([
          [["/"], "Search"], [["p"], "Stand still, go on"], [["r"], "Read anew now"], [["b"], "Light, dark, automatic"],
          [["Esc"], "Back to the list"], [["?"], "This list"],
        ]), own.length > 0 && h("h3", null, "In this view"), own.length > 0 && rows(own)))));
}

let refused = null;

/** Asks for the token that the console was started with. */
export function tokenDialog({ signIn }) {
  const submit = async (event) => {
    event.preventDefault();
    const field = event.target.querySelector("input");
    const said = event.target.querySelector(".said");
    said.textContent = "";
    try {
      await signIn(field.value.trim());
    } catch (error) {
      refused = error;
      said.textContent = `${error.message}${error.hint ? ` – ${error.hint}` : ""}`;
      field.select();
    }
  };
  return h("dialog", { key: "token", class: "token", attached: open, oncancel: (event) => event.preventDefault(), detached: () => { refused = null; }, "aria-labelledby": "token-title" },
    h("form", { class: "dialog-body", onsubmit: submit },
      h("h2", { id: "token-title" }, "This console asks for its token"),
      h("p", null, "It is what ", h("code", null, ".token(..)"), " was given where the console was started; the program may have printed it."),
      h("label", { for: "token-field" }, "Token"),
      h("input", { id: "token-field", type: "password", autocomplete: "current-password", required: true, autofocus: true }),
      h("p", { class: "said", role: "alert" }, refused ? refused.message : ""),
      h("button", { type: "submit", class: "primary" }, "Sign in")));
}
