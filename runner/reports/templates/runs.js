(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const text = form.elements.text, verdict = form.elements.verdict;
  const said = document.getElementById("shown");
  const rows = [...document.querySelectorAll("#runs tbody tr")];
  const words = rows.map(row => row.textContent.toLowerCase());
  const filter = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      const fits = (!verdict.value || row.dataset.kind === verdict.value)
        && wanted.every(word => words[at].includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    said.textContent = shown === rows.length ? `${shown} runs` : `${shown} of ${rows.length} runs`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => { event.preventDefault(); filter(); });
  filter();
})();
