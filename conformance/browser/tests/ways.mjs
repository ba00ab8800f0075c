// The ways of looking and acting that a person may have: a phone, no mouse, no scripts.
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { NETWORK } from '../parts/configuration.mjs';
import { overflow } from '../parts/browser.mjs';
import { tar } from '../parts/tar.mjs';
import { describe, rule } from '../parts/world.mjs';

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const says = (page, words) => page.locator('#state .badge').filter({ hasText: words }).waitFor();

async function planned(world) {
  const organization = await world.organization();
  const workspace = await world.api.workspace(organization, 'network');
  const run = await world.api.run(workspace, NETWORK, { message: 'Make the network' });
  await world.api.until(run, 'planned');
  return { organization, base: `/app/${organization}/workspaces/network`, run };
}

const archive = () => ({ name: 'n.tar.gz', mimeType: 'application/gzip', buffer: gzipSync(tar(NETWORK)) });

// Goes on by the tabulator until the focus is on what `selector` names, and gives how many steps that took.
async function tabTo(page, selector, most = 80) {
  for (let steps = 1; steps <= most; steps += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((selector) => document.activeElement?.matches(selector) ?? false, selector)) return steps;
  }
  throw new Error(`no way by the tabulator to ${selector} on ${page.url()}`);
}

// Whether the element that has the focus shows it.
const focusIsSeen = (page) =>
  page.evaluate(() => {
    const style = getComputedStyle(document.activeElement);
    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
  });

describe('from a phone', () => {
  rule('a run is read, confirmed and followed, and nothing is wider than the screen', async (world) => {
    const { base, run } = await planned(world);
    const { page } = await world.person('admin', PHONE);
    await page.goto(`${base}/runs/${run.id}`);
    await says(page, 'Needs confirmation');
    assert.equal(await overflow(page), 0);
    const confirm = page.getByRole('button', { name: 'Confirm & apply' });
    const box = await confirm.boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 390, 'the button is on the screen');
    assert.ok(box.height >= 30, `the button is high enough for a finger: ${box.height}`);
    await confirm.tap();
    await says(page, 'Applied');
    assert.equal(await overflow(page), 0);
  });
});

describe('by the keyboard alone', () => {
  rule('a run is confirmed, and the focus is always seen', async (world) => {
    const { base, run } = await planned(world);
    const { page } = await world.person('admin');
    await page.goto(`${base}/runs/${run.id}`);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    assert.ok(await focusIsSeen(page));
    await page.keyboard.press('Enter');
    await tabTo(page, '#action-comment');
    assert.ok(await focusIsSeen(page));
    await page.keyboard.type('By hand');
    await tabTo(page, '#run-actions button', 2);
    assert.ok(await focusIsSeen(page));
    await page.keyboard.press('Enter');
    await says(page, 'Applied');
    await page.locator('#history').getByText('By hand').waitFor();
  });

  rule('`/` goes to the search, Escape out of it, `j` and `k` through the list, Enter into what is chosen', async (world) => {
    const organization = await world.organization();
    for (const name of ['alpha', 'beta', 'gamma']) await world.api.workspace(organization, name);
    const { page } = await world.person('admin');
    await page.goto(`/app/${organization}/workspaces`);
    const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
    await page.keyboard.type('a/b');
    assert.equal(await page.evaluate(() => document.activeElement.value), 'a/b', 'a slash that is typed is one');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('bet');
    await page.locator('[data-list] [data-item]').filter({ hasText: 'alpha' }).waitFor({ state: 'detached' });
    await page.keyboard.press('Control+A');
    await page.keyboard.press('Delete');
    await page.locator('[data-list] [data-item]').filter({ hasText: 'alpha' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    const first = await focused();
    await page.keyboard.press('j');
    const second = await focused();
    assert.notEqual(first, second);
    await page.keyboard.press('k');
    assert.equal(await focused(), first);
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => /\/workspaces\/(alpha|beta|gamma)$/.test(url.pathname));
  });
});

describe('without scripts', () => {
  rule('a workspace is made, a run started, confirmed and read, and a comment left', async (world) => {
    const organization = await world.organization();
    const { page } = await world.person('admin', { javaScriptEnabled: false });
    await page.goto(`/app/${organization}/workspaces/new`);
    await page.locator('#new-workspace #name').fill('network');
    await page.getByRole('button', { name: 'Create workspace' }).click();
    const base = `/app/${organization}/workspaces/network`;
    await page.goto(`${base}/runs/new`);
    await page.locator('input[name=configuration][value=archive]').check();
    await page.locator('#archive').setInputFiles(archive());
    await page.getByRole('button', { name: 'Start run' }).click();
    await page.waitForURL(/\/runs\/run-/);
    const id = new URL(page.url()).pathname.split('/').pop();
    await world.api.until({ id }, 'planned');
    await page.reload();
    await page.getByText('terraform_data.network').first().waitFor();
    await page.locator('#comment').fill('Read on paper');
    await page.getByRole('button', { name: 'Add comment' }).click();
    await page.getByText('Read on paper').waitFor();
    await page.getByRole('button', { name: 'Confirm & apply' }).click();
    await world.api.until({ id }, 'applied');
    await page.reload();
    await says(page, 'Applied');
    await page.goto(`/app/${organization}/workspaces?q=net`);
    await page.getByRole('link', { name: 'network' }).first().waitFor();
    await page.goto(base);
    await page.locator('#lock-panel summary').click();
    await page.locator('#lock-reason').fill('By hand');
    await page.locator('#lock-panel').getByRole('button', { name: /Lock/ }).click();
    await page.locator('#lock-panel').getByRole('heading', { name: 'Locked' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/\/signed-out/);
  });

  rule('a wrong password is told beside the form', async (world) => {
    const guest = await world.guest({ javaScriptEnabled: false });
    guest.forgive(/status of 422/);
    const { page } = guest;
    await page.goto('/app');
    await page.locator('#name').fill('admin');
    await page.locator('#password').fill('not the password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').waitFor();
  });
});
