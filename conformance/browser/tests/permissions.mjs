import assert from 'node:assert/strict';
import { NETWORK } from '../parts/configuration.mjs';
import { describe, rule } from '../parts/world.mjs';

// Sends a form from the page that is open, with the token that the page's own forms carry.
function send(page, action, fields = {}) {
  return page.evaluate(
    async ([action, fields]) => {
      const token = document.querySelector('input[name=token-of-form]').value;
      const body = new URLSearchParams({ 'token-of-form': token, ...fields });
      const answer = await fetch(action, { method: 'POST', body, redirect: 'manual' });
      return { status: answer.status, type: answer.type, text: await answer.text() };
    },
    [action, fields],
  );
}

async function house(world) {
  const organization = await world.organization();
  const workspace = await world.api.workspace(organization, 'network');
  const name = `reader-${organization}`;
  await world.server.person(name);
  await world.api.team(organization, 'readers', name, 'read', workspace);
  const run = await world.api.run(workspace, NETWORK, { message: 'Make the network' });
  await world.api.until(run, 'planned');
  return { organization, workspace, run, name, base: `/app/${organization}/workspaces/network` };
}

describe('who may not', () => {
  rule('confirm a run sees no button for it, and the request behind it is refused', async (world) => {
    const { run, name, base } = await house(world);
    const reader = await world.person(name);
    const { page } = reader;
    await page.goto(`${base}/runs/${run.id}`);
    await page.locator('#state .badge').filter({ hasText: 'Needs confirmation' }).waitFor();
    for (const words of ['Confirm & apply', 'Discard run', 'Cancel run']) {
      assert.equal(await page.getByRole('button', { name: words }).count(), 0, words);
    }
    reader.forgive(/status of (403|404|409|422)/);
    for (const action of ['apply', 'discard', 'cancel', 'force-cancel']) {
      const answer = await send(page, `${base}/runs/${run.id}/${action}`);
      assert.ok([403, 404].includes(answer.status), `${action}: ${answer.status} ${answer.type}`);
    }
    assert.equal((await world.api.get(`/runs/${run.id}`)).attributes.status, 'planned');
  });

  rule('change a workspace sees no way to, and the requests behind it are refused', async (world) => {
    const { workspace, name, base } = await house(world);
    const reader = await world.person(name);
    const { page } = reader;
    await page.goto(base);
    for (const words of ['Start new run', 'Lock workspace', 'Lock']) {
      assert.equal(await page.getByRole('button', { name: words, exact: true }).count(), 0, words);
      assert.equal(await page.getByRole('link', { name: words, exact: true }).count(), 0, words);
    }
    reader.forgive(/status of (403|404|409|422)/);
    const requests = [
      ['/lock', { reason: 'mine' }],
      ['/settings', { name: 'taken' }],
      ['/settings/destruction/delete', { 'confirm-name': 'network' }],
      ['/runs/new', { kind: 'plan_and_apply', configuration: 'current' }],
    ];
    for (const [path, fields] of requests) {
      const answer = await send(page, base + path, fields);
      assert.ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.status} ${answer.type}`);
    }
    const { attributes, relationships } = await world.api.get(`/workspaces/${workspace.id}`);
    assert.equal(attributes.name, 'network');
    assert.equal(relationships['locked-by'].data.type, 'runs', 'it is held by its run, and not by the reader');
    assert.equal((await world.api.get(`/workspaces/${workspace.id}/runs`)).length, 1);
  });

  rule('see an organization is told that there is nothing', async (world) => {
    const { run, base, organization } = await house(world);
    await world.server.person(`stranger-${organization}`);
    const stranger = await world.person(`stranger-${organization}`);
    stranger.forgive(/status of 404/);
    for (const path of [`/app/${organization}`, base, `${base}/runs/${run.id}`, '/admin/users']) {
      const answer = await stranger.page.goto(path);
      assert.ok([403, 404].includes(answer.status()), `${path}: ${answer.status()}`);
    }
  });

  rule('send a form that no page of theirs made is refused', async (world) => {
    const { run, base } = await house(world);
    const admin = await world.person('admin');
    admin.forgive(/status of 403/);
    await admin.page.goto(`${base}/runs/${run.id}`);
    const answer = await send(admin.page, `${base}/runs/${run.id}/apply`, { 'token-of-form': 'made up' });
    assert.equal(answer.status, 403);
    assert.equal((await world.api.get(`/runs/${run.id}`)).attributes.status, 'planned');
  });
});
