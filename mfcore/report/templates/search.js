"use strict";
// Titles and users as they are typed: all words have to be there, those that begin a label come first.
(() => {
  const MOST = 12;
  const input = document.getElementById("search");
  const found = document.getElementById("found");
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const entries = CATALOG.map(([label, remark, page]) => ({ label, remark, page, key: plain(label) }));

  const matches = (wanted) => {
    const words = plain(wanted).split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const all = entries.filter((entry) => words.every((word) => entry.key.includes(word)));
    const first = (entry) => entry.key.startsWith(words[0]) || entry.key === `user ${words[0]}`;
    return [...all.filter(first), ...all.filter((entry) => !first(entry))].slice(0, MOST);
  };

  const line = (entry) => {
    const item = document.createElement("li");
    const label = document.createElement(entry.page ? "a" : "span");
    if (entry.page) label.href = entry.page;
    label.textContent = entry.label;
    const remark = document.createElement("small");
    remark.textContent = entry.remark;
    item.append(label, remark);
    return item;
  };

  const show = () => {
    const wanted = input.value.trim();
    const lines = matches(wanted).map(line);
    if (wanted && !lines.length) {
      const none = document.createElement("li");
      none.textContent = "Nothing by that name";
      lines.push(none);
    }
    found.replaceChildren(...lines);
    found.hidden = !lines.length;
  };

  const hide = () => { found.hidden = true; };
  const step = (by) => {
    const links = [input, ...found.querySelectorAll("a")];
    const place = links.indexOf(document.activeElement);
    links[(place + by + links.length) % links.length].focus();
  };

  input.addEventListener("input", show);
  input.addEventListener("focus", show);
  input.form.addEventListener("submit", (event) => {
    event.preventDefault();
    found.querySelector("a")?.click();
  });
  input.form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { input.value = ""; input.focus(); hide(); }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    }
  });
  found.addEventListener("click", (event) => { if (event.target.closest("a")) hide(); });
  document.addEventListener("click", (event) => { if (!input.form.contains(event.target)) hide(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea");
    if (event.key === "/" && !typing) { event.preventDefault(); input.focus(); }
  });
})();
