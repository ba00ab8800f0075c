// Finds every page by following links from the first one, so that a new page is looked at as soon as one leads to it.

// Pages of one pattern that are looked at.
const EACH = 2;
// Names stand after these, and are all of one pattern.
const NAMED = new Set(['app', 'organizations', 'workspaces', 'teams', 'projects', 'users', 'varsets', 'variable-sets', 'plan', 'states', 'runs', 'tokens']);
// Segments that are pages, where a name could stand.
const WORDS = new Set(['settings', 'new', 'compare', 'workspaces', 'admin', 'log', 'live']);
const ID = /^([a-z]+-[A-Za-z0-9]{16}|tool-.+)$/;

// What an address has in common with those of the same page.
export function pattern(url) {
  const segments = url.pathname.split('/').filter(Boolean);
  const general = segments.map((segment, index) => {
    if (ID.test(segment)) return '…';
    const names = NAMED.has(segments[index - 1]) && !(index > 1 && segments[0] === 'app' && segments[1] === 'settings');
    return names && !WORDS.has(segment) ? '…' : segment;
  });
  const phase = url.searchParams.get('phase');
  const keys = [...new Set(url.searchParams.keys())].filter((key) => !['page', 'done', 'line', 'phase'].includes(key)).sort();
  const asked = [...(phase ? [`phase=${phase}`] : []), ...keys];
  return `/${general.join('/')}${asked.length ? `?${asked.join('&')}` : ''}`;
}

// Goes to every page from these addresses on and calls `look(pattern, url)` at each; gives the patterns.
export async function walk(page, starts, look) {
  const seen = new Map();
  const visited = new Set();
  const ahead = starts.map((start) => ({ url: new URL(start, page.url()), from: 'the first page', wanted: true }));
  while (ahead.length > 0) {
    const { url, from, wanted } = ahead.shift();
    url.hash = '';
    if (visited.has(url.href)) continue;
    const of = pattern(url);
    const times = seen.get(of) ?? 0;
    // Filters of a page and pages of a list are one page in other clothes: one of each.
    if (!wanted && times >= (url.search ? 1 : EACH)) continue;
    visited.add(url.href);
    const answer = await page.goto(url.href).catch((error) => {
      if (/Download is starting|net::ERR_ABORTED/.test(error.message)) return null;
      throw error;
    });
    if (!answer || !(answer.headers()['content-type'] ?? '').startsWith('text/html')) continue;
    if (answer.status() !== 200) throw new Error(`${from} leads to ${url.href}, which answers ${answer.status()}`);
    const at = new URL(page.url());
    const here = pattern(at);
    seen.set(of, times + 1);
    visited.add(at.href);
    const links = await page.evaluate(() => [...document.querySelectorAll('a[href]:not([download])')].map((link) => new URL(link.getAttribute('href'), document.baseURI).href));
    await look(here, at);
    for (const link of links) {
      const next = new URL(link);
      if (next.origin === at.origin && !/^\/(api|_)/.test(next.pathname)) ahead.push({ url: next, from: at.href });
    }
  }
  return [...seen.keys()];
}
