// What tests make before somebody looks at it, by the API as everybody else does.
import { gzipSync } from 'node:zlib';
import { again } from './patience.mjs';
import { tar } from './tar.mjs';

const TYPE = 'application/vnd.api+json';

export class Api {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  async ask(method, path, body) {
    const headers = { authorization: `Bearer ${this.token}`, 'content-type': TYPE };
    const answer = await fetch(`${this.url}/api/v2${path}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text).data : undefined;
  }

  get(path) {
    return this.ask('GET', path);
  }

  // Makes a thing of `type` with its attributes, and relations as `{ name: [type, id] }`.
  make(path, type, attributes = {}, related = {}) {
    const relationships = Object.fromEntries(
      Object.entries(related).map(([name, [type, id]]) => [name, { data: { type, id } }]),
    );
    return this.ask('POST', path, { data: { type, attributes, relationships } });
  }

  async organization(name) {
    await this.make('/organizations', 'organizations', { name, email: 'ops@example.com' });
    return name;
  }

  workspace(organization, name, attributes = {}, related = {}) {
    return this.make(`/organizations/${organization}/workspaces`, 'workspaces', { name, ...attributes }, related);
  }

  // Uploads a configuration, `{ path: text }`, and starts a run of it.
  async run(workspace, files, attributes = {}) {
    const made = await this.make(`/workspaces/${workspace.id}/configuration-versions`, 'configuration-versions', {
      'auto-queue-runs': false,
    });
    const body = gzipSync(tar(files));
    const headers = { 'content-type': 'application/octet-stream' };
    const uploaded = await fetch(made.attributes['upload-url'], { method: 'PUT', headers, body });
    if (!uploaded.ok) throw new Error(`the upload was refused: ${uploaded.status} ${await uploaded.text()}`);
    return this.make('/runs', 'runs', attributes, {
      workspace: ['workspaces', workspace.id],
      'configuration-version': ['configuration-versions', made.id],
    });
  }

  // Waits until a run has come to one of these statuses, or to its end.
  until(run, ...statuses) {
    const wanted = [...statuses, 'errored', 'canceled', 'force_canceled'];
    return again(`${run.id} is ${statuses.join(' or ')}`, async () => {
      const now = await this.get(`/runs/${run.id}`);
      return wanted.includes(now.attributes.status) && now;
    });
  }

  act(run, action, comment) {
    return this.ask('POST', `/runs/${run.id}/actions/${action}`, comment && { comment });
  }

  // A team with this access to a workspace, and a person in it. `person` is their username.
  async team(organization, name, person, access, workspace) {
    const team = await this.make(`/organizations/${organization}/teams`, 'teams', { name });
    if (access) {
      const of = { team: ['teams', team.id], workspace: ['workspaces', workspace.id] };
      await this.make('/team-workspaces', 'team-workspaces', { access }, of);
    }
    const path = `/organizations/${organization}/organization-memberships`;
    const relationships = { teams: { data: [{ type: 'teams', id: team.id }] } };
    const attributes = { email: `${person}@example.com` };
    await this.ask('POST', path, { data: { type: 'organization-memberships', attributes, relationships } });
    return team;
  }
}
