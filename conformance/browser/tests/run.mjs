import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NETWORK } from '../parts/configuration.mjs';
import { describe, rule } from '../parts/world.mjs';

const address = (organization, workspace, run) => `/app/${organization}/workspaces/${workspace}/runs/${run.id}`;

// Marks a page; the mark is gone after it was loaded again.
const mark = (page) => page.evaluate(() => { window.marked = true; });
const stillMarked = (page) => page.evaluate(() => window.marked === true);

// The state of the run as its page has it.
const badge = (page) => page.locator('#state .badge');
const says = (page, words) => badge(page).filter({ hasText: words }).waitFor();

// A run of `files` that awaits confirmation.
async function planned(world, organization, workspace, files = NETWORK, attributes = {}) {
  const run = await world.api.run(workspace, files, { message: 'Make the network', ...attributes });
  await world.api.until(run, 'planned', 'planned_and_finished');
  return run;
}

// A run that stands at `gate` in its apply.
async function applying(world, organization, name, gate) {
  const workspace = await world.api.workspace(organization, name);
  return world.api.run(workspace, gate.configuration, { message: 'Through the gate', 'auto-apply': true });
}

describe('a run in the browser', () => {
  rule('lives its whole life there, from the new workspace to its outputs', async (world) => {
    const organization = await world.organization();
    const { page } = await world.person('admin');
    await page.goto(`/app/${organization}/workspaces/new`);
    await page.getByLabel('Name', { exact: true }).fill('network');
    await page.getByRole('button', { name: 'Create workspace' }).click();
    await page.getByRole('heading', { level: 1, name: 'network' }).waitFor();

    await page.getByRole('link', { name: 'Upload and start a run' }).click();
    await page.getByLabel('Reason for starting the run').fill('The first network');
    const folder = await mkdtemp(join(tmpdir(), 'ferroform-folder-'));
    for (const [name, text] of Object.entries(NETWORK)) await writeFile(join(folder, name), text);
    await page.getByRole('radio', { name: 'Upload a folder' }).check();
    await page.getByLabel('Folder', { exact: true }).setInputFiles(folder);
    await page.getByRole('button', { name: 'Start run' }).click();
    await page.waitForURL(/\/runs\/run-/);
    await rm(folder, { recursive: true });

    await says(page, 'Needs confirmation');
    await page.getByText('terraform_data.network').first().waitFor();
    await page.getByLabel('Comment (optional)').fill('Looks right');
    await page.getByRole('button', { name: 'Confirm & apply' }).click();
    await says(page, 'Applied');
    await page.locator('#history').getByText('Looks right').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Confirm & apply' }).count(), 0);

    await page.goto(`/app/${organization}/workspaces/network`);
    await page.getByRole('row', { name: 'network 10.0.0.0/16' }).waitFor();
    await page.getByText('Owned by the platform team.').waitFor();
  });

  rule('can be started from an archive, and discarded', async (world) => {
    const organization = await world.organization();
    await world.api.workspace(organization, 'network');
    const { page } = await world.person('admin');
    await page.goto(`/app/${organization}/workspaces/network/runs/new`);
    await page.getByRole('radio', { name: 'Upload an archive' }).check();
    const { gzipSync } = await import('node:zlib');
    const { tar } = await import('../parts/tar.mjs');
    const buffer = gzipSync(tar(NETWORK));
    await page.getByLabel('Archive', { exact: true }).setInputFiles({ name: 'n.tar.gz', mimeType: 'application/gzip', buffer });
    await page.getByRole('button', { name: 'Start run' }).click();
    await page.waitForURL(/\/runs\/run-/);
    await says(page, 'Needs confirmation');
    await page.getByRole('button', { name: 'Discard run' }).click();
    await says(page, 'Discarded');
  });

  rule('shows each status and line of its log as it happens, on a page that is not loaded again', async (world) => {
    const organization = await world.organization();
    const gate = await world.gate();
    const run = await applying(world, organization, 'gated', gate);
    const person = await world.person('admin');
    const { page } = person;
    const log = await person.context.newPage();
    await page.goto(address(organization, 'gated', run));
    await mark(page);
    await says(page, 'Applying');
    await log.goto(`${address(organization, 'gated', run)}/log?phase=apply`);
    await mark(log);
    for (const line of ['the first line', 'a second one']) {
      await gate.say(line);
      await log.getByRole('region', { name: 'Log' }).getByText(line).waitFor();
    }
    await gate.open();
    await says(page, 'Applied');
    await log.getByRole('region', { name: 'Log' }).getByText('Apply complete!').waitFor();
    assert.ok((await stillMarked(page)) && (await stillMarked(log)), 'nobody loaded the page again');
  });

  rule('that was confirmed by one is told to the other, who looks on and confirms a moment later', async (world) => {
    const organization = await world.organization();
    const workspace = await world.api.workspace(organization, 'network');
    const run = await planned(world, organization, workspace);
    const [first, second] = [await world.person('admin'), await world.person('admin')];
    for (const { page } of [first, second]) await page.goto(address(organization, 'network', run));
    // The second one's page hears of nothing, as over a slow line.
    await second.page.evaluate(() => {
      for (const button of document.querySelectorAll('#actions button')) button.dataset.kept = 'here';
    });
    const form = await second.page.locator('#run-actions input[name=token-of-form]').inputValue();
    await first.page.getByRole('button', { name: 'Confirm & apply' }).click();
    await says(first.page, 'Applied');
    await says(second.page, 'Applied');
    assert.equal(await second.page.getByRole('button', { name: 'Confirm & apply' }).count(), 0);

    second.forgive(/status of 409/);
    const action = `${address(organization, 'network', run)}/apply`;
    await second.page.evaluate(
      ([action, token]) => {
        const form = Object.assign(document.createElement('form'), { method: 'post', action });
        form.append(Object.assign(document.createElement('input'), { name: 'token-of-form', value: token }));
        document.body.append(form);
        form.submit();
      },
      [action, form],
    );
    await second.page.getByRole('alert').filter({ hasText: /already|faster|cannot|not/ }).waitFor();
    await says(second.page, 'Applied');
  });

  rule('goes on where the server was killed in the middle of its apply, and its open page shows the end by itself', async (world) => {
    const organization = await world.organization();
    const gate = await world.gate();
    const run = await applying(world, organization, 'gated', gate);
    const person = await world.person('admin');
    const { page } = person;
    await page.goto(address(organization, 'gated', run));
    await says(page, 'Applying');
    await gate.say('before the server is killed');
    await mark(page);
    person.forgive(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|htmx:sseError|htmx:sendError/);
    await world.server.kill9();
    await world.server.launch();
    await gate.open();
    await says(page, 'Applied');
    assert.ok(await stillMarked(page), 'nobody loaded the page again');
  });

  rule('can be stopped: asked to cancel in the middle of its apply, it says so, and ends', async (world) => {
    const organization = await world.organization();
    const gate = await world.gate();
    const run = await applying(world, organization, 'gated', gate);
    const { page } = await world.person('admin');
    await page.goto(address(organization, 'gated', run));
    await says(page, 'Applying');
    await gate.say('in the middle');
    await page.getByRole('button', { name: 'Cancel run' }).click();
    await page.locator('#stages').getByText('Canceling').waitFor();
    // The engine waits for what it has begun.
    await gate.open();
    await says(page, /Canceled|Errored|Applied/);
  });
});
