// Asks for what is now every two seconds while the tab is seen, and says so when nobody answers.
"use strict";

const EVERY = 2000;
const now = document.getElementById("now");
const lost = document.getElementById("lost");

function renew() {
  if (!document.hidden) htmx.trigger(now, "renew");
}

// What a person has opened or is about to press stays as it is when its part of the page is renewed.
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name) => name !== "disabled";

document.addEventListener("visibilitychange", renew);
for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(failure, () => { lost.hidden = false; });
}
document.addEventListener("htmx:afterOnLoad", (event) => { lost.hidden = event.detail.successful; });
setInterval(renew, EVERY);
