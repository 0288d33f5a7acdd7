'use strict';
// Tables that sort and filter, links that open what they lead to, commands that can be copied. The page is whole without it.
const numberIn = text => {
  const match = text.replace(/,/g, '').replace('−', '-').match(/^[-+]?\d+(\.\d+)?/);
  return match ? Number(match[0]) : NaN;
};
const compared = (one, other) => {
  const [a, b] = [numberIn(one), numberIn(other)];
  if (!Number.isNaN(a) && !Number.isNaN(b) && a !== b) return a - b;
  return one.localeCompare(other, 'en', { numeric: true });
};
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const text = row => row.cells[column].textContent.trim();
      const sorted = rows.slice().sort((one, other) => compared(text(one), text(other)) * (down ? -1 : 1));
      body.append(...sorted);
    });
  });
  if (rows.length < 9) continue;
  const label = document.createElement('label');
  label.className = 'filter';
  const input = document.createElement('input');
  input.type = 'search';
  const shown = document.createElement('span');
  shown.setAttribute('aria-live', 'polite');
  const count = () => { shown.textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} rows`; };
  const texts = rows.map(row => row.textContent.toLowerCase());
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, index) => { row.hidden = !words.every(word => texts[index].includes(word)); });
    count();
  });
  count();
  label.append('Filter', input, shown);
  table.parentElement.before(label);
}
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let node = target; node; node = node.parentElement) if (node.tagName === 'DETAILS') node.open = true;
  target.scrollIntoView();
};
addEventListener('hashchange', reveal);
reveal();
for (const command of document.querySelectorAll('pre.command')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.addEventListener('click', async () => {
    const code = command.querySelector('code');
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = 'Selected';
    }
  });
  command.append(button);
}
// On paper nothing is folded but the plan and the numbers below charts.
let folded = [];
addEventListener('beforeprint', () => {
  folded = [...document.querySelectorAll('details:not([open])')].filter(one => !one.querySelector('.plan') && !one.closest('figure'));
  folded.forEach(one => { one.open = true; });
});
addEventListener('afterprint', () => folded.forEach(one => { one.open = false; }));
