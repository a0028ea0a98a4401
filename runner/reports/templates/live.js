(() => {
  const live = document.getElementById("live");
  if (!live || live.hasAttribute("data-settled")) return;
  const said = document.getElementById("said");
  const part = live.dataset.part;
  let waits = 0, says = "";
  const ask = async () => {
    let next = 1000;
    try {
      const answer = await fetch(part, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(answer.status);
      if (!live.contains(document.activeElement) || document.activeElement === document.body) {
        live.innerHTML = await answer.text();
      }
      const head = live.querySelector("[data-over]").dataset;
      if (head.says !== says) said.textContent = says = head.says;
      if (head.over === "yes" && (head.settled === "yes" || ++waits > 60)) return;
    } catch {
      said.textContent = says = "The server does not answer.";
      next = 5000;
      if (++waits > 60) return;
    }
    setTimeout(ask, next);
  };
  setTimeout(ask, 1000);
})();
