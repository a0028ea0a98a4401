/* What every page of seatrial can do, and what it does not need to be read: light and dark, local
   time, copying, opening everything for print, and telling where in the page one is. It remembers
   nothing and asks nobody. Elements with data-script are shown when this has begun. */
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];

  for (const one of all("[data-script]")) one.hidden = false;

  // -- light and dark: the palette's own rule for dark is switched on or off ----------------------

  const dark = [...document.styleSheets[0].cssRules].find((rule) =>
    rule.media?.mediaText.includes("prefers-color-scheme"),
  );
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const isDark = () => (chosen === null ? prefers.matches : chosen === "dark");

  function nameScheme() {
    for (const button of all("button.scheme")) {
      button.textContent = isDark() ? "Light colours" : "Dark colours";
    }
  }

  for (const button of all("button.scheme")) {
    button.addEventListener("click", () => {
      chosen = isDark() ? "light" : "dark";
      dark.media.mediaText = chosen === "dark" ? "screen" : "not all";
      root.style.colorScheme = chosen;
      nameScheme();
    });
  }
  prefers.addEventListener("change", nameScheme);
  nameScheme();

  // -- moments: UTC on the page, the reader's own time on hover and focus -------------------------

  for (const time of all("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const local = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    time.title = `${local}, where you are`;
    time.dataset.local = local;
    time.tabIndex = 0;
  }

  // -- copying; a page from disk may have no clipboard, a selection can always be copied ----------

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "hidden";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  for (const button of all("button[data-copies]")) {
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const done = await copy(document.getElementById(button.dataset.copies).textContent);
      button.focus();
      button.textContent = done ? "Copied" : "Could not copy";
      setTimeout(() => (button.textContent = words), 2000);
    });
  }

  // -- filters: the rows that pass are hidden; how many are left is in the label -------------------

  for (const box of all("input[data-filters]")) {
    const table = document.getElementById(box.dataset.filters);
    box.addEventListener("change", () => table.classList.toggle("without-pass", box.checked));
    box.checked = false;
  }

  // -- print: nothing stays folded, but for figures that a picture shows ---------------------------

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open]):not(.data)");
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
    opened = [];
  });

  // -- a link into something folded opens it -------------------------------------------------------

  function openTarget() {
    const aim = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let one = aim; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    if (aim) aim.closest("table")?.classList.remove("without-pass");
  }
  addEventListener("hashchange", openTarget);
  openTarget();

  // -- where in the page ---------------------------------------------------------------------------

  const menu = document.querySelector("nav.contents");
  const links = new Map(all("nav.contents a").map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) seen.add(target.id);
        else seen.delete(target.id);
      }
      const first = [...links.keys()].find((id) => seen.has(id));
      for (const [id, link] of links) {
        if (id === first) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      const link = links.get(first);
      if (link) menu.scrollLeft = link.offsetLeft - menu.clientWidth / 3;
    },
    { rootMargin: "-60px 0px -60% 0px" },
  );
  for (const id of links.keys()) watch.observe(document.getElementById(id));
})();
