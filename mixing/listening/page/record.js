// The result: what is handed in, with a digest by which a file that was changed afterwards is known.
"use strict";

(() => {
  // One text for one value, as Python's canonical() writes it: sorted keys, no spaces.
  dasp.canonical = (value) => {
    if (Array.isArray(value)) return `[${value.map(dasp.canonical).join(",")}]`;
    if (value === null || typeof value !== "object") return JSON.stringify(value);
    const entries = Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${dasp.canonical(value[key])}`);
    return `{${entries.join(",")}}`;
  };

  // Half of a pair of code units is no character, and JSON writers do not agree on it.
  dasp.text = (value) => value.replace(/\p{Surrogate}/gu, "\uFFFD").trim();

  dasp.result = () => {
    const { test, state } = dasp;
    const pages = state.order.map((name, position) => {
      const kept = state.pages[name];
      const page = test.pages.find((p) => p.page === name);
      const played = (n) => ({ plays: kept.plays[n], heard_s: dasp.rounded(kept.heard_s[n], 1) });
      return {
        page: name,
        position: position + 1,
        seconds: dasp.rounded(kept.seconds, 1),
        comment: kept.comment,
        reference: page.reference ? played(page.reference) : null,
        stimuli: kept.order.map((n, i) => ({
          stimulus: n,
          label: dasp.label(i),
          ...played(n),
          ratings: Object.fromEntries(test.criteria.map((c) => [c.name, kept.ratings[c.name][n]])),
        })),
      };
    });
    const result = {
      schema: "dasp-ratings/1",
      test: test.test,
      test_digest: test.digest,
      method: test.method,
      participant: state.participant,
      started_at: state.started_at,
      finished_at: new Date().toISOString(),
      volume_db: state.volume_db,
      answers: state.answers,
      pages,
    };
    return { ...result, digest: dasp.sha256(dasp.canonical(result)) };
  };

  // A spreadsheet takes what begins with one of these for a formula.
  const cell = (value) => {
    const text = String(value).replace(/^[=+\-@\t\r]/, "'$&");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  dasp.csv = (result) => {
    const of = ["participant", "page", "position", "page_seconds", "stimulus", "label", "plays", "heard_s"];
    const rows = [[...of, "criterion", "rating", "comment"]];
    for (const page of result.pages) {
      for (const s of page.stimuli) {
        for (const [criterion, rating] of Object.entries(s.ratings)) {
          const where = [result.participant, page.page, page.position, page.seconds];
          rows.push([...where, s.stimulus, s.label, s.plays, s.heard_s, criterion, rating, page.comment]);
        }
      }
    }
    return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
  };

  dasp.download = (name, type, text) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = dasp.element("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  };

  // Sent as plain text, which browsers let pass without asking the other side first.
  dasp.post = async (result) => {
    const answer = await fetch(dasp.test.post_url, {
      method: "POST",
      headers: { "Content-Type": "text/plain;charset=UTF-8" },
      body: JSON.stringify(result),
      credentials: "omit",
    });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
  };
})();
