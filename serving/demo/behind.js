// What stands behind an answer: the words for it, its record, the visitor, the evaluation.
"use strict";

function say(answer) {
  const tired = tiredWords(answer, (id) => state.names[id] || id);
  const budget = budgetWords(answer), silence = silenceWords(answer);
  $("pace").textContent = paceWords(answer);
  $("kinds").textContent = [kindWords(answer), budget].filter(Boolean).join(" ");
  $("silence").textContent = silence;
  $("silence").hidden = !silence;
  $("resting").hidden = !tired.length;
  $("resting").querySelector("summary").textContent = `What rests or steps back: ${tired.length}`;
  $("resting").querySelector("ul").replaceChildren(...tired.map((sentence) => element("li", "", sentence)));
}

async function explain(id) {
  try {
    const record = await call(`/demo/decisions/${id}`);
    const head = element("tr");
    head.append(...["slot", "suggestion", "source", "p"].map((name) => element("th", ["suggestion", "source"].includes(name) ? "left" : "", name)));
    const slots = [...record.items, ...(record.ways || [])].sort((one, other) => one.slot - other.slot);
    $("slots").replaceChildren(head, ...slots.map((slot) => {
      const row = element("tr");
      row.append(element("td", "", slot.slot), element("td", "left", slot.item_id || slot.target || slot.kind), element("td", "left", slot.source || slot.kind), element("td", "", slot.p_slot));
      return row;
    }));
    $("record").textContent = JSON.stringify(record, null, 1);
  } catch (error) { $("record").textContent = error.message; }
  try {
    const known = await call(`/v1/visitors/${encodeURIComponent(visitor())}`);
    $("known").textContent = JSON.stringify(known, null, 1);
  } catch (error) { $("known").textContent = error.message; }
}

async function drawEvaluation() {
  let report;
  try { report = await call("/demo/evaluation"); } catch (error) { $("evaluation-note").textContent = error.message; return; }
  const k = report.k[report.k.length - 1];
  const names = ["ndcg", "recall", "mrr", "hit_rate"].map((name) => `${name}@${k}`).filter((name) => name in report.variants[0].metrics);
  $("evaluation-note").textContent = `${report.users} shoppers between ${report.period_start.slice(0, 10)} and ${report.period_end.slice(0, 10)}, later than anything the evaluated model was trained on; intervals at ${Math.round(report.confidence * 100)} %.`;
  const head = element("tr");
  head.append(element("th", "", ""), ...names.map((name) => element("th", "", name)));
  $("report").replaceChildren(head, ...report.variants.map((variant, place) => {
    const row = element("tr", place ? "" : "best");
    row.append(element("td", "", variant.name), ...names.map((name) => {
      const cell = variant.metrics[name];
      const made = element("td", "", cell.mean.toFixed(4));
      made.title = `${cell.low.toFixed(4)} to ${cell.high.toFixed(4)}`;
      return made;
    }));
    return row;
  }));
}
