// Light or dark, before anything is drawn: a classic script in the head, so that the page never flashes in
// the wrong one. Without a choice of the reader the browser's own preference counts.
(function () {
  "use strict";
  var choice = null;
  try {
    choice = localStorage.getItem("console-theme");
  } catch (_) {
    // No storage allowed: the browser's preference it is.
  }
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
