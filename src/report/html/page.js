// The alerts of the morning report: filters, sorting, keys, and the story of an alert when it is opened. Rows are made as
// they are needed, so that thousands cost nothing. Text is only ever set as text; what acts or hides was made visible
// before it came here.
(() => {
  'use strict';

  const CHUNK = 100;
  const PRINTED_ROWS = 300;
  const PRINTED_STORIES = 25;
  const LEVELS = ['informational', 'low', 'medium', 'high', 'critical'];
  const STANDINGS = ['new', 'repeat', 'excepted'];
  const SVG = 'http://www.w3.org/2000/svg';

  const data = JSON.parse(document.getElementById('data').textContent);
  const byId = (id) => document.getElementById(id);

  /** An element with attributes and children; strings become text, nothing becomes nothing. */
  function el(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === true) element.setAttribute(key, '');
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    element.append(...children.flat().filter((child) => child != null && child !== false));
    return element;
  }

  function svg(name, attributes, ...children) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const count = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
  const shortTime = (time) => `${time.slice(0, 10)} ${time.slice(11, 19)}`;

  // ---- theme and print ------------------------------------------------------------------------------------------

  const THEMES = ['system', 'light', 'dark'];
  const themeButton = byId('theme');
  // A file from disk may have no storage.
  const stored = (() => { try { return localStorage.getItem('lakehunt-theme'); } catch { return null; } })();
  function setTheme(theme) {
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    themeButton.textContent = `Theme: ${theme}`;
    try { localStorage.setItem('lakehunt-theme', theme); } catch { /* then it is forgotten */ }
  }
  let theme = THEMES.includes(stored) ? stored : 'system';
  setTheme(theme);
  themeButton.hidden = false;
  themeButton.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    setTheme(theme);
  });
  byId('print').hidden = false;
  byId('print').addEventListener('click', () => window.print());

  // ---- sortable tables that are in the page already -------------------------------------------------------------

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      const button = el('button', { type: 'button', class: 'sort' });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener('click', () => {
        const numeric = head.classList.contains('number');
        const first = numeric || head.textContent === 'level' ? 'descending' : 'ascending';
        const now = head.getAttribute('aria-sort');
        const order = now == null ? first : now === 'ascending' ? 'descending' : 'ascending';
        heads.forEach((other) => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', order);
        const value = (row) => row.cells[index].dataset.sort ?? row.cells[index].textContent;
        const number = (text) => { const n = parseFloat(text.replaceAll(',', '')); return Number.isNaN(n) ? -1 : n; };
        const asNumber = numeric || table.tBodies[0].querySelector('[data-sort]') != null
          && table.tBodies[0].rows[0].cells[index].dataset.sort != null;
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => asNumber ? number(value(a)) - number(value(b)) : value(a).localeCompare(value(b)));
        if (order === 'descending') rows.reverse();
        table.tBodies[0].append(...rows);
      });
    });
  }
  document.querySelectorAll('table.sortable').forEach(sortable);

  const table = byId('alert-table');
  if (!table) return;

  // ---- what is shown --------------------------------------------------------------------------------------------

  const filters = byId('filters');
  const search = byId('search');
  const huntFilter = byId('hunt');
  const entityFilter = byId('entity');
  const more = byId('more');
  const state = { incident: null, key: null, order: null, shown: [], made: 0 };
  const body = el('tbody');
  table.append(body);
  table.hidden = false;
  filters.hidden = false;
  byId('keys').hidden = false;

  for (const alert of data.alerts) {
    alert.entityText = alert.entities.map((entity) => entity[1]).join(' ').toLowerCase();
    alert.rank = LEVELS.indexOf(alert.level);
  }
  for (const name of Object.keys(data.hunts)) huntFilter.append(el('option', { value: name }, name));
  const entities = new Set(data.alerts.flatMap((alert) => alert.entities.map((entity) => entity[1])));
  byId('entities').append(...[...entities].sort().slice(0, 500).map((value) => el('option', { value })));

  /** Everything that the text filter looks through; made once, when it is first asked for. */
  function haystack(alert) {
    alert.text ??= [
      alert.title, alert.message, alert.hunt, alert.id, alert.group, alert.exception, alert.entityText,
      ...alert.techniques.flat(), ...alert.tactics,
      ...alert.finding.flat(2), ...alert.places,
      ...alert.story.flatMap((event) => [event.what, event.raw, event.file, event.host, event.user]),
    ].filter((part) => part != null).join('\n').toLowerCase();
    return alert.text;
  }

  const checked = (name) => new Set([...filters.querySelectorAll(`[name="${name}"]:checked`)].map((box) => box.value));

  function wanted() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const entity = entityFilter.value.trim().toLowerCase();
    const levels = checked('level');
    const standings = checked('standing');
    return data.alerts.filter((alert) =>
      (state.incident == null || alert.incident === state.incident)
      && (standings.size === 0 || standings.has(alert.standing))
      && (levels.size === 0 || levels.has(alert.level))
      && (huntFilter.value === '' || alert.hunt === huntFilter.value)
      && (entity === '' || alert.entityText.includes(entity))
      && words.every((word) => haystack(alert).includes(word)));
  }

  const SORT = {
    level: (a, b) => a.rank - b.rank || (a.risk ?? -1) - (b.risk ?? -1),
    risk: (a, b) => (a.risk ?? -1) - (b.risk ?? -1),
    title: (a, b) => a.title.localeCompare(b.title) || a.message.localeCompare(b.message),
    entity: (a, b) => a.entityText.localeCompare(b.entityText),
    last: (a, b) => a.last.localeCompare(b.last),
  };

  function refresh() {
    state.shown = wanted();
    if (state.key) {
      const sign = state.order === 'descending' ? -1 : 1;
      state.shown.sort((a, b) => sign * SORT[state.key](a, b));
    }
    body.replaceChildren();
    state.made = 0;
    grow(CHUNK);
    for (const button of document.querySelectorAll('button[data-level]')) {
      const levels = checked('level');
      button.setAttribute('aria-pressed', String(levels.size === 1 && levels.has(button.dataset.level)));
    }
  }

  /** Makes the next rows. */
  function grow(rows) {
    const next = state.shown.slice(state.made, state.made + rows);
    state.made += next.length;
    body.append(...next.map(row));
    more.hidden = state.made >= state.shown.length;
    more.textContent = `Show more (${(state.shown.length - state.made).toLocaleString('en')} left)`;
    const folded = STANDINGS.filter((standing) => !checked('standing').has(standing) && checked('standing').size > 0)
      .map((standing) => [standing, data.alerts.filter((alert) => alert.standing === standing).length])
      .filter(([, number]) => number > 0)
      .map(([standing, number]) => `${number.toLocaleString('en')} ${standing}`);
    const text = [
      state.shown.length === 0 ? 'No alert fits.' : `${count(state.shown.length, 'alert')} of ${data.alerts.length.toLocaleString('en')}`
        + (state.incident == null ? '.' : ', of one incident.'),
      folded.length > 0 ? `Folded: ${folded.join(', ')}.` : '',
    ];
    byId('shown').textContent = text.filter(Boolean).join(' ');
  }

  function row(alert) {
    const opener = el('button', { type: 'button', class: 'opener', 'aria-expanded': 'false' }, alert.title);
    const standing = alert.standing === 'new' ? null
      : el('span', { class: `state ${alert.standing}` }, alert.standing);
    const chips = alert.entities.slice(0, 4).map(([kind, value]) =>
      el('button', { type: 'button', class: 'chip', title: `only ${kind} ${value}`, 'data-entity': value }, el('b', null, `${kind} `), value));
    if (alert.entities.length > 4) chips.push(el('span', { class: 'chip' }, `and ${alert.entities.length - 4} more`));
    const line = el('tr', { class: 'row', 'data-id': alert.id },
      el('td', null, el('span', { class: `badge ${alert.level}` }, alert.level)),
      el('td', { class: 'number' }, alert.risk == null ? '' : String(alert.risk)),
      el('td', null, opener, el('span', { class: 'message' }, standing, standing && ' ', alert.message)),
      el('td', null, chips),
      el('td', { class: 'when' }, el('time', { datetime: alert.last }, shortTime(alert.last))));
    opener.addEventListener('click', () => toggle(line, alert));
    return line;
  }

  function toggle(line, alert, open) {
    const opener = line.querySelector('.opener');
    const isOpen = opener.getAttribute('aria-expanded') === 'true';
    if (open === isOpen) return;
    opener.setAttribute('aria-expanded', String(!isOpen));
    line.classList.toggle('open', !isOpen);
    if (isOpen) {
      line.nextElementSibling.remove();
      opener.removeAttribute('aria-controls');
    } else {
      const id = `story-${alert.id}`;
      opener.setAttribute('aria-controls', id);
      line.after(el('tr', { class: 'detail', id }, el('td', { colspan: '5' }, story(alert))));
    }
  }

  // ---- the story of an alert ------------------------------------------------------------------------------------

  const fold = (title, ...children) => el('details', null, el('summary', null, title), ...children);
  const list = (items, name = 'ul') => el(name, null, items.map((item) => el('li', null, ...[item].flat())));
  const section = (title, ...children) => [el('h4', null, title), ...children];

  /** A link, if it is one: anything but http and https stays text. */
  const link = (address, label) => /^https?:\/\//.test(address)
    ? el('a', { href: address, rel: 'noreferrer' }, label ?? address) : (label ?? address);

  function story(alert) {
    const hunt = data.hunts[alert.hunt] ?? {};
    return el('div', { class: 'story' },
      el('div', null, what(alert), commands(alert)),
      el('div', null, todo(hunt), why(alert, hunt)),
      el('div', { class: 'wide' }, raw(alert), facts(alert)));
  }

  function what(alert) {
    const of = (kinds) => alert.entities.filter(([kind]) => kinds.includes(kind));
    const who = of(['user', 'account', 'identity', 'principal', 'sid']);
    const where = of(['host', 'ip', 'device', 'source_ip', 'destination_ip', 'domain']);
    const rest = alert.entities.filter((entity) => !who.includes(entity) && !where.includes(entity));
    const names = (items) => items.flatMap(([kind, value], index) => [index ? ', ' : '', `${kind} `, el('code', null, value)]);
    const terms = [];
    const term = (name, ...values) => terms.push(el('dt', null, name), el('dd', null, ...values));
    if (who.length) term('Who', ...names(who));
    if (where.length) term('Where', ...names(where));
    if (rest.length) term('About', ...names(rest));
    const [first, last] = [shortTime(alert.first), shortTime(alert.last)];
    const until = last === first ? '' : ` to ${last.slice(0, 10) === first.slice(0, 10) ? last.slice(11) : last}`;
    term('When', `${first}${until} (${count(alert.events, 'event')}, ${count(alert.findings, 'finding')})`);
    if (alert.risk != null) term('Risk', String(alert.risk));
    if (alert.techniques.length) {
      term('Technique', ...alert.techniques.flatMap(([id, name, page], index) =>
        [index ? el('br') : '', page ? link(page, id) : id, name ? ` ${name}` : '']));
    }
    if (alert.tactics.length) term('Tactic', alert.tactics.join(', '));
    if (alert.exception) term('Excepted by', alert.exception);
    return [el('h4', null, 'What happened'), el('p', null, el('code', null, alert.message)), el('dl', null, ...terms)];
  }

  function commands(alert) {
    const told = alert.story.filter((event) => event.time && event.what);
    if (told.length === 0) return finding(alert);
    const items = told.map((event) => el('li', null,
      el('time', { datetime: event.time }, shortTime(event.time)),
      el('span', { class: 'where' }, [event.host, event.user, event.table].filter(Boolean).join(' · ')),
      el('code', null, event.what)));
    const unread = alert.total - alert.story.length;
    return [
      ...section('In order'),
      timeline(told),
      el('ol', { class: 'events' }, items),
      unread > 0 || alert.cut ? el('p', { class: 'hint' },
        `${unread > 0 ? `${count(unread, 'more event')} in the stored alert` : ''}${alert.cut ? `${unread > 0 ? ', ' : ''}others were not kept` : ''}.`) : null,
      finding(alert),
    ];
  }

  /** Dots on a line from the first event to the last. */
  function timeline(events) {
    const times = events.map((event) => Date.parse(event.time));
    const first = Math.min(...times);
    const last = Math.max(...times);
    if (last - first < 1000) return null;
    const place = (time) => 10 + 680 * (time - first) / (last - first);
    const seconds = Math.round((last - first) / 1000);
    const long = seconds < 120 ? count(seconds, 'second') : seconds < 7200 ? count(Math.round(seconds / 60), 'minute')
      : seconds < 172800 ? count(Math.round(seconds / 3600), 'hour') : count(Math.round(seconds / 86400), 'day');
    // Of more than a day the hour alone would mislead.
    const sameDay = events[0].time.slice(0, 10) === events[events.length - 1].time.slice(0, 10);
    const end = (event) => shortTime(event.time).slice(sameDay ? 11 : 0);
    const dots = events.map((event, index) => {
      const dot = svg('circle', { cx: place(times[index]).toFixed(1), cy: '16', r: '5', class: 'dot', 'fill-opacity': '.75' });
      dot.append(svg('title', {}, `${shortTime(event.time)} ${event.what}`.slice(0, 300)));
      return dot;
    });
    return svg('svg', { viewBox: '0 0 700 40', class: 'timeline', role: 'img', 'aria-label': `${count(events.length, 'event')} in ${long}` },
      svg('line', { x1: '10', y1: '16', x2: '690', y2: '16', class: 'grid' }), ...dots,
      svg('text', { x: '10', y: '38', class: 'axis' }, end(events[0])),
      svg('text', { x: '350', y: '38', class: 'axis', 'text-anchor': 'middle' }, long),
      svg('text', { x: '690', y: '38', class: 'axis', 'text-anchor': 'end' }, end(events[events.length - 1])));
  }

  function finding(alert) {
    if (alert.finding.length === 0) return null;
    const terms = alert.finding.flatMap(([column, values, cut]) => [
      el('dt', null, column),
      el('dd', null, values.length > 1
        ? el('ul', { class: 'values' }, values.map((value) => el('li', null, el('code', null, value))), cut > 0 ? el('li', null, `and ${cut} more`) : null)
        : el('code', null, values[0] ?? '')),
    ]);
    const title = alert.findings > 1 ? 'The latest finding' : 'The finding';
    return el('details', { open: alert.story.length === 0 }, el('summary', null, title), el('dl', null, terms));
  }

  function todo(hunt) {
    return [
      hunt.response?.length ? section('What to do', list(hunt.response.map(words), 'ol')) : null,
      hunt.falsepositives?.length ? section('Known false positives', list(hunt.falsepositives.map(words))) : null,
    ].filter(Boolean).flat();
  }

  function why(alert, hunt) {
    return [
      ...section('Why it fired'),
      el('p', null, el('code', null, alert.hunt), hunt.status ? ` (${hunt.status})` : ''),
      ...description(hunt.description ?? ''),
      hunt.parameters?.length ? el('p', { class: 'hint' }, `With ${hunt.parameters.map(([name, value]) => `$${name} = ${value}`).join(', ')}.`) : null,
      hunt.lookback ? el('p', { class: 'hint' }, `It looks ${hunt.lookback} back before the window.`) : null,
      hunt.sql ? fold('SQL', el('pre', { tabindex: '0' }, hunt.sql)) : null,
      hunt.references?.length ? fold('References', list(hunt.references.map((address) => link(address)))) : null,
    ];
  }

  /** Our own words, with `code` in backticks. */
  const words = (text) => text.split('`').map((part, index) => (index % 2 === 1 ? el('code', null, part) : part));

  /** The first sentence says what is found; the rest, what is missed and why, is folded. */
  function description(text) {
    const end = text.search(/[.:](\s|$)/) + 1;
    if (end === 0 || text.length < 240) return text ? [el('p', null, words(text))] : [];
    return [el('p', null, words(text.slice(0, end).replace(/:$/, '.'))), fold('All that it finds and misses', el('p', null, words(text.slice(end).trim())))];
  }

  function raw(alert) {
    if (alert.story.length === 0) {
      return alert.places.length === 0 ? null : fold(`Raw events: ${alert.total}, not read back`, list(alert.places.map((place) => el('code', null, place))));
    }
    const items = alert.story.map((event) => fold(
      el('span', null, el('code', null, `${event.table} ${event.file}`), ` row ${event.row}`, event.time ? ` · ${shortTime(event.time)}` : ''),
      event.columns.length ? el('dl', null, event.columns.flatMap(([name, value]) => [el('dt', null, name), el('dd', null, el('code', null, value))])) : null,
      event.raw == null ? el('p', null, 'The record could not be read back.') : el('pre', { tabindex: '0' }, event.raw)));
    return fold(`Raw events (${alert.story.length === alert.total ? alert.total : `${alert.story.length} of ${alert.total}`})`, items);
  }

  function facts(alert) {
    return fold('Ids, and how to run it again', el('dl', null,
      ...[['alert', alert.id], ['group', alert.group], ['incident', alert.incident], ['logic', alert.logic],
        ['show', `lakehunt alerts show ${alert.id}`], ['again', `lakehunt ${data.again} --hunt ${alert.hunt}`]]
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [el('dt', null, name), el('dd', null, el('code', null, value))])));
  }

  // ---- what people do -------------------------------------------------------------------------------------------

  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(refresh, 120); };
  search.addEventListener('input', soon);
  entityFilter.addEventListener('input', soon);
  filters.addEventListener('change', (event) => { if (event.target.type === 'checkbox' || event.target === huntFilter) refresh(); });
  filters.addEventListener('submit', (event) => { event.preventDefault(); refresh(); });
  filters.addEventListener('reset', () => { state.incident = null; setTimeout(refresh); });
  // By a button, not by scrolling: what stands below the alerts must stay within reach.
  more.addEventListener('click', () => {
    const next = state.made;
    grow(5 * CHUNK);
    body.querySelectorAll('.opener')[next]?.focus();
  });

  for (const head of table.tHead.rows[0].cells) {
    head.querySelector('button').addEventListener('click', () => {
      const first = head.dataset.key === 'title' || head.dataset.key === 'entity' ? 'ascending' : 'descending';
      state.order = state.key !== head.dataset.key ? first : state.order === 'ascending' ? 'descending' : 'ascending';
      state.key = head.dataset.key;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', state.order);
      refresh();
    });
  }

  const clear = () => { filters.reset(); state.incident = null; };
  const check = (name, values) => {
    for (const box of filters.querySelectorAll(`[name="${name}"]`)) box.checked = values.includes(box.value);
  };
  function goTo() {
    refresh();
    byId('alerts').scrollIntoView();
    const first = body.querySelector('.opener');
    if (first) first.focus({ preventScroll: true });
  }
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (!button) return;
    const { level, incident, hunt, entity } = button.dataset;
    if (level) {
      const pressed = button.getAttribute('aria-pressed') === 'true';
      check('level', pressed ? [] : [level]);
      refresh();
      byId('alerts').scrollIntoView();
    } else if (incident) {
      clear();
      // The reset event comes first and would forget it.
      setTimeout(() => { state.incident = incident; check('standing', []); goTo(); });
    } else if (hunt) {
      clear();
      setTimeout(() => { huntFilter.value = hunt; check('standing', []); goTo(); });
    } else if (entity) {
      entityFilter.value = entity;
      refresh();
    }
  });

  function step(by) {
    const openers = [...body.querySelectorAll('.opener')];
    const line = document.activeElement?.closest('tr');
    const owner = line?.classList.contains('detail') ? line.previousElementSibling : line;
    const index = openers.findIndex((opener) => opener.closest('tr') === owner);
    if (index + by >= openers.length && !more.hidden) { grow(CHUNK); return step(by); }
    const next = openers[index < 0 ? 0 : Math.max(0, Math.min(openers.length - 1, index + by))];
    if (next) { next.focus(); next.scrollIntoView({ block: 'nearest' }); }
  }
  document.addEventListener('keydown', (event) => {
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape' && typing) { event.target.blur(); return; }
    if (typing) return;
    if (event.key === '/') { event.preventDefault(); search.focus(); search.select(); }
    else if (event.key === 'j') step(1);
    else if (event.key === 'k') step(-1);
  });

  /** `#alert-<id>` opens that alert, so that it can be linked to. */
  function open() {
    const id = decodeURIComponent(location.hash.slice(1)).replace(/^alert-/, '');
    const alert = location.hash.startsWith('#alert-') ? data.alerts.find((one) => one.id === id) : null;
    if (!alert) return;
    check('standing', []);
    check('level', []);
    search.value = entityFilter.value = huntFilter.value = '';
    state.incident = null;
    refresh();
    grow(Math.max(0, state.shown.indexOf(alert) + 1 - state.made));
    const line = [...body.querySelectorAll('tr.row')].find((one) => one.dataset.id === id);
    toggle(line, alert, true);
    line.scrollIntoView();
    line.querySelector('.opener').focus({ preventScroll: true });
  }
  window.addEventListener('hashchange', open);

  // On paper there is nothing to open: the rows that are left after filtering, the first of them with their stories.
  let printed = [];
  window.addEventListener('beforeprint', () => {
    grow(Math.max(0, Math.min(PRINTED_ROWS, state.shown.length) - state.made));
    const lines = [...body.querySelectorAll('tr.row')].slice(0, PRINTED_STORIES);
    printed = lines.filter((line) => line.querySelector('[aria-expanded="false"]'));
    for (const line of printed) toggle(line, data.alerts.find((alert) => alert.id === line.dataset.id), true);
    if (state.shown.length > lines.length) {
      byId('shown').textContent += ` On paper: the first ${Math.min(PRINTED_ROWS, state.shown.length)}, ${lines.length} of them with their story.`;
    }
  });
  window.addEventListener('afterprint', () => {
    for (const line of printed) toggle(line, data.alerts.find((alert) => alert.id === line.dataset.id), false);
    printed = [];
    grow(0);
  });

  refresh();
  open();
})();
