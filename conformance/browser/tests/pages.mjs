// What holds on every page that a link leads to.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { overflow } from '../parts/browser.mjs';
import { seed } from '../parts/seed.mjs';
import { walk } from '../parts/walker.mjs';
import { describe, rule } from '../parts/world.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const { readFile } = await import('node:fs/promises');
const AXE = await readFile(axe, 'utf8');

// Pages that the walk must at least have found, or it has lost its way.
const KNOWN = [
  '/app',
  '/app/…',
  '/app/…/workspaces',
  '/app/…/workspaces/…',
  '/app/…/workspaces/…/runs',
  '/app/…/workspaces/…/runs/…',
  '/app/…/workspaces/…/runs/new',
  '/app/…/workspaces/…/variables',
  '/app/…/workspaces/…/states',
  '/app/…/workspaces/…/settings',
  '/app/settings/tokens',
];

// What axe finds that keeps somebody from using the page.
async function serious(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id} (${help}): ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} ${failureSummary.replace(/\s+/g, ' ')}`).join('; ')}`);
}

// Every page from these on, all that is amiss on it gathered.
async function look(page, starts, examine) {
  const amiss = [];
  const patterns = await walk(page, starts, async (pattern, url) => {
    for (const what of await examine(page)) amiss.push(`${pattern} (${url.pathname}${url.search}): ${what}`);
  });
  return { amiss, patterns };
}

async function accessible(page) {
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const what of await serious(page)) found.push(`${colorScheme}: ${what}`);
  }
  const headings = await page.locator('h1').count();
  if (headings !== 1) found.push(`${headings} headings of the first order`);
  return found;
}

async function narrow(page) {
  const wider = await overflow(page);
  return wider > 0 ? [`${wider} pixels wider than the phone`] : [];
}

describe('every page', () => {
  rule('is found by links, asks no other host, keeps its policy, complains of nothing, and is accessible in light and dark', async (world, context) => {
    const gate = await world.gate();
    const starts = await seed(world.server, gate);
    const { page } = await world.person('admin');
    const wide = await look(page, starts, accessible);
    const lost = KNOWN.filter((known) => !wide.patterns.includes(known));
    context.diagnostic(`${wide.patterns.length} pages: ${wide.patterns.join(' ')}`);
    assert.deepEqual(wide.amiss, []);
    assert.deepEqual(lost, [], 'pages to which no link leads');

    await page.setViewportSize({ width: 390, height: 844 });
    const phone = await look(page, starts, narrow);
    assert.deepEqual(phone.amiss, []);
    await gate.open();
  }, { timeout: 600_000 });

  rule('that is not there says so, accessibly', async (world) => {
    const person = await world.person('admin');
    person.forgive(/status of 404/);
    await person.page.goto('/app/nobody/workspaces/nothing');
    await person.page.getByRole('heading', { name: 'Nothing here' }).waitFor();
    assert.deepEqual(await accessible(person.page), []);
  });

  rule('of a guest is accessible in light and dark', async (world) => {
    const guest = await world.guest();
    guest.forgive(/status of 4\d\d/);
    const { page } = guest;
    for (const path of ['/sign-in', '/app/acme/workspaces']) {
      await page.goto(path);
      assert.deepEqual(await accessible(page), [], path);
      await page.setViewportSize({ width: 390, height: 844 });
      assert.equal(await overflow(page), 0, path);
      await page.setViewportSize({ width: 1280, height: 800 });
    }
  });
});
